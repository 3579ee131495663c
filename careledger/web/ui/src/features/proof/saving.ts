/** Hands a file to whoever reads this page. Its name says what it is, and never whose. */
export function save(name: string, data: Uint8Array<ArrayBuffer> | string, type = "application/json"): void {
  const url = URL.createObjectURL(new Blob([data], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
