/** The part of parquetjs-lite that the tests use: it comes without types. */
declare module 'parquetjs-lite' {
  /** The columns of a file. */
  export class ParquetSchema {
    constructor(fields: Record<string, { readonly type: string; readonly optional?: boolean }>);
  }
  /** Writes a file, row by row. */
  export class ParquetWriter {
    static openFile(schema: ParquetSchema, path: string): Promise<ParquetWriter>;
    appendRow(row: Record<string, unknown>): Promise<void>;
    close(): Promise<void>;
  }
}
