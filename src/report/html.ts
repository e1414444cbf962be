/** HTML as text that cannot be mistaken for data: whatever is put into a template is escaped, unless it is HTML itself. */

/** A piece of HTML. */
export class Html {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** What a template takes: undefined and false are nothing, lists are their elements one after the other. */
export type Content = Html | string | number | undefined | false | readonly Content[];

/** A template of HTML; what is put into it is escaped. Attributes must be in double quotes. */
export function html(parts: TemplateStringsArray, ...contents: readonly Content[]): Html {
  return new Html(
    parts.map((part, i) => part + (i < contents.length ? textOf(contents[i]) : '')).join(''),
  );
}

function textOf(content: Content): string {
  if (content === undefined || content === false) return '';
  if (content instanceof Html) return content.text;
  if (typeof content === 'number') return String(content);
  if (typeof content === 'string') return escapeHtml(content);
  return content.map(textOf).join('');
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => ESCAPES[character]!);
}
