/** Tells a record that is the header again, as where one CSV file was appended to another. Pure. */

const SPACE = 32;
const TAB = 9;

/** What a record is: the header again, a header of the same columns in another order, or neither. */
type HeaderMatch = 'same' | 'reordered' | undefined;

/**
 * Compares records with the names of the columns. Of several columns neither case nor white space nor quotes matter: that all
 * of them are names is no chance. Of one column the record has to be its name to the letter.
 */
export class HeaderMatcher {
  private readonly names: readonly string[];
  private readonly sorted: string;
  private readonly quote: number;
  /** The bytes that a name may begin with. */
  private readonly first = new Uint8Array(256);
  private readonly shortest: number;

  constructor(names: readonly string[], quote: number) {
    this.names = names.map((name) => (names.length === 1 ? name : bare(name)));
    this.sorted = JSON.stringify(this.names.toSorted());
    this.quote = quote;
    this.shortest = Buffer.byteLength(this.names.join(','), 'latin1');
    for (const name of this.names) {
      for (const text of [name, name.toUpperCase()]) this.first[Buffer.from(text)[0] ?? 0] = 1;
    }
  }

  /** Whether a record is worth to be looked at: of most the first byte says that it is not. */
  mayBe(bytes: Uint8Array, start: number, end: number): boolean {
    if (end - start < this.shortest) return false;
    let at = start;
    // A byte order mark begins the second of two files, too.
    if (bytes[at] === 0xef && bytes[at + 1] === 0xbb && bytes[at + 2] === 0xbf) at += 3;
    while (at < end && (bytes[at] === this.quote || bytes[at] === SPACE || bytes[at] === TAB)) at++;
    return this.first[bytes[at] ?? 0] === 1;
  }

  /** Compares the fields of a record. */
  match(fields: readonly string[]): HeaderMatch {
    const { names, sorted } = this;
    const found = names.length === 1 ? fields : fields.map(bare);
    if (found.length !== names.length) return undefined;
    if (found.every((name, index) => name === names[index])) return 'same';
    return names.length > 1 && JSON.stringify(found.toSorted()) === sorted
      ? 'reordered'
      : undefined;
  }
}

function bare(name: string): string {
  // White space includes a byte order mark.
  return name.trim().toLowerCase();
}
