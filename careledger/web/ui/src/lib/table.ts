/**
 * What a table of ours has under a word of the record; undefined for what it has not, were the word "constructor". Without
 * this, one entry with such a unit would break every page that shows it.
 */
export function lookUp<T>(table: Readonly<Record<string, T>>, word: string | undefined): T | undefined {
  return word !== undefined && Object.hasOwn(table, word) ? table[word] : undefined;
}
