/**
 * Nothing of anybody is kept when this page is left: browsers hold left pages whole, to show them again on "back", and who is
 * signed out elsewhere meanwhile would show their record to the next person. `clear` takes everything off the screen; a page
 * that comes back all the same begins anew.
 */
export function forgetWhenLeft(clear: () => void, again: () => void = () => location.reload()): void {
  addEventListener("pagehide", (event) => {
    if (event.persisted) clear();
  });
  addEventListener("pageshow", (event) => {
    if (event.persisted) again();
  });
}
