/** Numbers as a page says them. */
import { grouped } from '../base/grouped.js';
import type { QualityReport } from './quality-schema.js';

/** The title of a section that is of one day, where a run was judged day by day. */
export function dayTitle(title: string, { judged, days }: QualityReport): string {
  return days === undefined || judged?.day == null ? title : `${title}, ${judged.day}`;
}

/** A number with as many digits as a person compares. */
export function shortNumber(value: number | string | null | undefined): string {
  if (value === null || value === undefined) return '–';
  const number = Number(value);
  if (!Number.isFinite(number)) return Number.isNaN(number) ? 'NaN' : number > 0 ? '∞' : '−∞';
  const size = Math.abs(number);
  if (size !== 0 && (size >= 1e9 || size < 1e-4)) return number.toExponential(2).replace('-', '−');
  const digits = Number(number.toPrecision(4));
  return (size >= 1e4 ? grouped(Math.round(number)) : String(digits)).replace('-', '−');
}

/** A share as a percentage. */
export function percentText(share: number): string {
  const percent = 100 * share;
  const digits =
    percent === 0 || Math.abs(percent) >= 10 ? percent.toFixed(0) : percent.toPrecision(2);
  return `${Number(digits)} %`.replace('-', '−');
}

/** A number and how it changed, as "12.4 → 15.5"; one alone where it did not, or where there is no other. */
export function changeText(before: string | undefined, now: string): string {
  return before === undefined || before === now ? now : `${before} → ${now}`;
}

/** How long something took. */
export function durationText(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 120) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 120) return `${minutes} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
