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
  if (worst.measured === null)
    return `${name}: ${worst.reason ?? ''}${sayOthers(findings, status, unit)}`;
  const say = (value: number): string => sayNumber(value, unit);
  const limit = worst.limit === null ? '' : ` (limit ${say(worst.limit)})`;
  const other = gate === FLIPS_GATE ? 'what was published before' : label;
  const before = compared && other !== undefined ? sayBaseline(worst, other, baselineUnit) : '';
  const reason = worst.reason === null ? '' : `; ${worst.reason}`;
  return `${name}: ${say(worst.measured)}${limit}${before}${reason}${sayOthers(findings, status, unit)}`;
}

/** How many further columns a line names. */
const COLUMNS_NAMED = 5;

/** The other columns that are judged so, where that is an alarm. */
function sayOthers(
  findings: readonly GateFinding[],
  status: GateResult['status'],
  unit: Unit,
): string {
  if (status !== 'fail' && status !== 'warn') return '';
  const others = findings.slice(1).filter((finding) => finding.status === status);
  if (others.length === 0) return '';
  const named = others.slice(0, COLUMNS_NAMED).map(({ column, measured, reason }) => {
    const value = measured === null ? (reason ?? '') : sayNumber(measured, unit);
    return `${shown(column ?? 'all rows', 60)} ${value}`;
  });
  const more = others.length - named.length;
  return `; also ${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}

function sayBaseline({ baseline }: GateFinding, label: string, unit: Unit): string {
  return ` against ${baseline === null ? '' : `${sayNumber(baseline, unit)} of `}${shown(label)}`;
}

function sayNumber(value: number, unit: Unit): string {
  if (unit === 'share') return `${Number((value * 100).toPrecision(3))} %`;
  if (unit === 'rows') return `${grouped(value)} rows`;
  return String(Number(value.toPrecision(4)));
}
