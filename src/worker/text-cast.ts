/** Text as values, strictly: what DuckDB's own casts would let pass with a guess (" 1", "1_000", "0x10", "2.7" as 3) is none. */

const SIGN = '[+-]?';
const FLOAT = `${SIGN}([0-9]+\\.?[0-9]*|\\.[0-9]+)([eE][+-]?[0-9]+)?`;
const TIME = '[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\\.[0-9]{1,6})?)?';
/** Up to 15:59, as PostgreSQL has it: DuckDB takes any number for hours and minutes. */
const OFFSET = '(Z|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)';
const DATE = '[0-9]{4}-[0-9]{2}-[0-9]{2}';

/** SQL that reads the text `x` as a value of a type; NULL where it is none, or none that the type holds unchanged. */
export function readTextSql(x: string, type: string): string {
  const cast = `TRY_CAST(${x} AS ${type})`;
  const when = (pattern: string, value = cast): string =>
    `CASE WHEN regexp_full_match(${x}, '${pattern}') THEN ${value} END`;
  const decimal = /^DECIMAL\((\d+),(\d+)\)$/.exec(type);
  // A decimal is rounded by a cast: zeros alone may follow the digits that it holds.
  if (decimal !== null) {
    const fraction = `\\.[0-9]{0,${decimal[2]}}0*`;
    return when(`${SIGN}([0-9]+(${fraction})?|${fraction})`);
  }
  switch (type) {
    case 'VARCHAR':
      return x;
    case 'FLOAT':
    case 'DOUBLE':
      return (
        `CASE WHEN regexp_full_match(${x}, '${FLOAT}') THEN CASE WHEN isfinite(${cast}) THEN ${cast} END ` +
        `WHEN regexp_full_match(${x}, '(?i)${SIGN}(nan|inf|infinity)') THEN ${cast} END`
      );
    case 'BOOLEAN':
      return `CASE lower(${x}) WHEN 'true' THEN true WHEN '1' THEN true WHEN 'false' THEN false WHEN '0' THEN false END`;
    case 'DATE':
      return when(DATE);
    case 'TIMESTAMP':
      // DuckDB drops an offset here, which only of UTC changes nothing.
      return when(`${DATE}(${TIME}Z?)?`);
    case 'TIMESTAMPTZ':
      // Behind minutes DuckDB takes no offset.
      return when(
        `${DATE}${TIME}${OFFSET}`,
        `TRY_CAST(regexp_replace(${x}, '^(.{16})([Z+-])', '\\1:00\\2') AS TIMESTAMPTZ)`,
      );
    default:
      return when(`${SIGN}[0-9]+`);
  }
}
