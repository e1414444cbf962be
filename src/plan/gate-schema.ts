/** The schema of the gates between scoring and publication, and of what a run is compared with. */
import * as z from 'zod';
import { columnList, path, section, whole } from './schema-parts.js';

const MAX_DAYS = 366;
const DAYS = `a whole number from 1 to ${MAX_DAYS}`;
const BASELINE = 'auto, previous, { trailing: 7 }, { same-weekday: 4 } or { file: a path }';
const COLUMNS = 'a list of column names';
const RANGE = 'the least and the greatest number that is allowed, such as [0, 1]';

/** A limit: a number, or `history`, what the job's earlier runs teach. */
type JobGateLimit = number | 'history';

const percent = (most: number, error: string) =>
  z
    .string({ error })
    .regex(/^\d+(\.\d+)?%$/, { error })
    .transform((written) => Number.parseFloat(written) / 100)
    .refine((share) => share <= most, { error });
const history = (error: string) => z.literal('history', { error });
const share = (most: number) => {
  const error = `a percentage such as 2%${most === 1 ? ', at most 100%' : ''}, or history`;
  return z.union([history(error), percent(most, error)], { error });
};
const number = (error: string) => z.number({ error }).nonnegative({ error });

const DISTANCE = 'a number from 0, history, or { warn: 0.1, fail: 0.2 }';
const distance = (what: string) => {
  const error = 'a number from 0, or history';
  const limit = z.union([history(error), number(error)], { error });
  const both = section({
    warn: limit.optional().describe('From here on the report warns.'),
    fail: limit.optional().describe('From here on the run is not published.'),
  })
    .refine(({ warn, fail }) => warn !== undefined || fail !== undefined, { error: DISTANCE })
    .meta({ minProperties: 1 })
    .transform(({ warn, fail }) => limitsOf(warn, fail));
  const fail = z
    .union([history(DISTANCE), number(DISTANCE)], { error: DISTANCE })
    .transform((only) => limitsOf(undefined, only));
  return z.union([fail, both], { error: DISTANCE }).optional().describe(what);
};

function limitsOf(warn: JobGateLimit | undefined, fail: JobGateLimit | undefined) {
  return { ...(warn !== undefined && { warn }), ...(fail !== undefined && { fail }) };
}

const columns = (what: string) => columnList(COLUMNS).optional().describe(what);

const MEAN = 'a percentage such as 10%, a number, or history';

/** The schema of `gates`. */
export const gatesSchema = section({
  rows: section({
    min: whole(0, Number.MAX_SAFE_INTEGER, 'a whole number of rows')
      .optional()
      .describe('The least number of rows that a run publishes.'),
    change: share(Number.POSITIVE_INFINITY)
      .optional()
      .describe('By how much the rows of a partition may be more or fewer than before.'),
  })
    .optional()
    .describe('How many rows there are.'),
  nulls: section({
    max_increase: share(1)
      .default(0.02)
      .describe('By how much the share of rows without a value may rise in a column, in points.'),
    columns: columns('The columns to look at; without it all.'),
  })
    .optional()
    .describe('Rows without a value, by column.'),
  drift: section({
    psi: distance('The population stability index between the values and those of the baseline.'),
    ks: distance("Kolmogorov and Smirnov's distance."),
    js: distance("Jensen and Shannon's distance."),
    hellinger: distance("Hellinger's distance."),
    wasserstein: distance("Wasserstein's distance, in standard deviations of the baseline."),
    chi_squared: distance("Cramér's V."),
    l_infinity: distance('The greatest change of the share of a category.'),
    columns: columns('The columns to look at; without it all features and predictions.'),
  })
    .optional()
    .describe(
      'How far the values of a column lie from those of the baseline; a limit is a number, or history.',
    ),
  scores: section({
    mean_change: z
      .union(
        [
          history(MEAN).transform((limit) => ({ of: 'baseline' as const, limit })),
          percent(Number.POSITIVE_INFINITY, MEAN).transform((limit) => ({
            of: 'baseline' as const,
            limit,
          })),
          number(MEAN).transform((limit) => ({ of: 'number' as const, limit })),
        ],
        { error: MEAN },
      )
      .optional()
      .describe('By how much the mean of a prediction may change: of the mean, or as a number.'),
    range: z
      .tuple([z.number({ error: RANGE }), z.number({ error: RANGE })], { error: RANGE })
      .refine(([least, most]) => least <= most, { error: RANGE })
      .optional()
      .describe('The range of predictions.'),
  })
    .optional()
    .describe('The predictions themselves.'),
  flips: section({
    max: share(1)
      .default(0.02)
      .describe('The share of keys whose label may be another than before.'),
  })
    .optional()
    .describe('Labels of the same key that are others than before.'),
  new_categories: section({
    max: whole(0, 10_000, 'a whole number from 0 to 10000')
      .default(5)
      .describe('How many new categories a column of texts may have.'),
    columns: columns('The columns to look at; without it all of texts.'),
  })
    .optional()
    .describe('Texts that the baseline does not have.'),
});

/** The gates as the job file has them. */
export type JobGates = z.output<typeof gatesSchema>;

/** What a run is compared with, as the job file has it. */
export type JobBaseline = z.output<typeof baselineSchema>;

/** The schema of `baseline`. */
export const baselineSchema = z.union(
  [
    z.enum(['auto', 'previous'], { error: BASELINE }),
    z.strictObject(
      { trailing: whole(1, MAX_DAYS, DAYS).describe('The last so many days before.') },
      { error: BASELINE },
    ),
    z.strictObject(
      {
        'same-weekday': whole(1, MAX_DAYS, DAYS).describe(
          'The last so many days before that were the same day of the week.',
        ),
      },
      { error: BASELINE },
    ),
    z.strictObject(
      { file: path('a local file').describe('Statistics that "scoreline baseline" has saved.') },
      { error: BASELINE },
    ),
  ],
  { error: BASELINE },
);
