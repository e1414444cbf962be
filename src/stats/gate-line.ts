/** A gate in one line, for a terminal. */
import { shown } from '../base/errors.js';
import { grouped } from '../base/grouped.js';
import { FLIPS_GATE, type GateFinding, type GateResult, type Unit } from './gate-settings.js';

/**
 * A gate in one line: how it was judged, the column that is worst, what was measured, the limit and the baseline.
 * `label` names the baseline.
 */
export function gateLine(
  { gate, status, unit, baselineUnit, compared, findings }: GateResult,
  label: string | undefined,
): string {
  const [worst] = findings;
  if (worst === undefined) return `${status}  ${gate}`;
  const column = worst.column === null ? '' : ` ${shown(worst.column, 60)}`;
  const name = `${status.padEnd(7)} ${gate}${column}`;
  if (worst.measured === null) return `${name}: ${worst.reason ?? ''}`;
  const say = (value: number): string => sayNumber(value, unit);
  const limit = worst.limit === null ? '' : ` (limit ${say(worst.limit)})`;
  const other = gate === FLIPS_GATE ? 'what was published before' : label;
  const before = compared && other !== undefined ? sayBaseline(worst, other, baselineUnit) : '';
  const reason = worst.reason === null ? '' : `; ${worst.reason}`;
  const others = findings.filter((finding) => finding.status === status).length - 1;
  const more = others > 0 && (status === 'fail' || status === 'warn') ? `; and ${others} more` : '';
  return `${name}: ${say(worst.measured)}${limit}${before}${reason}${more}`;
}

function sayBaseline({ baseline }: GateFinding, label: string, unit: Unit): string {
  return ` against ${baseline === null ? '' : `${sayNumber(baseline, unit)} of `}${shown(label)}`;
}

function sayNumber(value: number, unit: Unit): string {
  if (unit === 'share') return `${Number((value * 100).toPrecision(3))} %`;
  if (unit === 'rows') return `${grouped(value)} rows`;
  return String(Number(value.toPrecision(4)));
}
