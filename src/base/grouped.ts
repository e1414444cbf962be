/** A number for a person: thousands apart, at most three decimals. What `toLocaleString` does, which takes 20 ms the first time. */
export function grouped(value: number): string {
  const [whole = '', decimals] = String(Number(value.toFixed(3))).split('.');
  const apart = whole.replace(/\B(?=(\d{3})+$)/g, ',');
  return decimals === undefined ? apart : `${apart}.${decimals}`;
}
