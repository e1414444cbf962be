/** Element types of columns, and what DuckDB calls them. Light: the parent imports it too. */

/** The element types that move between DuckDB and typed arrays as they are, or as text. */
export type ElementType =
  | 'bool'
  | 'int8'
  | 'uint8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'uint64'
  | 'float32'
  | 'float64'
  | 'utf8';

/** The name of an element type in SQL and its size; text has no fixed size. */
const ELEMENTS: Readonly<Record<ElementType, { sql: string; bytes: number }>> = {
  bool: { sql: 'BOOLEAN', bytes: 1 },
  int8: { sql: 'TINYINT', bytes: 1 },
  uint8: { sql: 'UTINYINT', bytes: 1 },
  int16: { sql: 'SMALLINT', bytes: 2 },
  uint16: { sql: 'USMALLINT', bytes: 2 },
  int32: { sql: 'INTEGER', bytes: 4 },
  uint32: { sql: 'UINTEGER', bytes: 4 },
  int64: { sql: 'BIGINT', bytes: 8 },
  uint64: { sql: 'UBIGINT', bytes: 8 },
  float32: { sql: 'FLOAT', bytes: 4 },
  float64: { sql: 'DOUBLE', bytes: 8 },
  utf8: { sql: 'VARCHAR', bytes: 0 },
};

const ELEMENT_OF_SQL: ReadonlyMap<string, ElementType> = new Map(
  (Object.keys(ELEMENTS) as ElementType[]).map((element) => [ELEMENTS[element].sql, element]),
);

/** The element type that carries a DuckDB type unchanged, or undefined when SQL has to cast it first. */
export function elementOfSqlType(sqlType: string): ElementType | undefined {
  return ELEMENT_OF_SQL.get(sqlType);
}

/** The DuckDB name of an element type. */
export function sqlTypeOfElement(element: ElementType): string {
  return ELEMENTS[element].sql;
}

/** The size of one element in bytes; 0 for text. */
export function bytesOfElement(element: ElementType): number {
  return ELEMENTS[element].bytes;
}
