/** The page on a run, in a real browser: it needs nothing, runs nothing, and shows data as data. */
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import axe from 'axe-core';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runPage } from '../../src/report/page.js';
import { parseQuality } from '../../src/report/quality-schema.js';
import type { RunReport } from '../../src/report/report.js';
import { makeCase, modelPath } from '../job-case.js';
import { Random } from '../random.js';
import { scoreline } from '../scoreline.js';

const BROWSERS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const executablePath = process.env.CHROMIUM ?? BROWSERS.find((path) => existsSync(path));
/** What would be an element, an attribute's end or an order to a terminal, were it not shown as text. */
const HOSTILE = `"><script>alert(1)</script><img src=x onerror=alert(2)>'&amp;`;

/** Two runs whose second is staged, with everything that a page has a section for. */
async function makeHostileRun(): Promise<string> {
  const job = makeCase({
    name: 'hostile',
    input: { path: 'in', key: 'id' },
    model: { path: modelPath('small/multi') },
    features: ['a', 'b', 'c'],
    statistics: [HOSTILE],
    output: { path: 'out', keep: ['id', HOSTILE] },
    gates: { drift: { psi: 0.2 }, flips: { max: '1%' }, new_categories: { max: 0 } },
  });
  const write = (from: number, text: string): void => {
    const random = new Random(from + 1);
    const lines = Array.from({ length: 1500 }, (_, i) => {
      const a = i === 7 ? 'bad' : (from + random.next() * 10).toFixed(3);
      const values = [random.next() * 10, random.next() * 10].map((value) => value.toFixed(3));
      return `k${i},${a},${values.join()},"${text.replaceAll('"', '""')}"`;
    });
    const folder = join(job.input, 'q=<i>1');
    mkdirSync(folder, { recursive: true });
    const head = `id,a,b,c,"${HOSTILE.replaceAll('"', '""')}"`;
    writeFileSync(join(folder, 'x.csv'), `${head}\n${lines.join('\n')}\nshort\n`);
  };
  write(0, '<b>bold</b>');
  expect((await job.run()).exit).toBe(0);
  write(4, '<style>*{display:none}</style>');
  expect((await job.run()).exit).toBe(3);
  const { stdout } = await scoreline(['report', job.output]);
  return stdout.trim();
}

describe.skipIf(executablePath === undefined)('the page on a run (in chromium)', () => {
  let browser: Browser;
  let path = '';

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: executablePath!, args: ['--no-sandbox'] });
    path = await makeHostileRun();
  });
  afterAll(() => browser.close());

  /** Opens a page, and gathers what it says to the console and asks of the network. */
  async function open(
    file: string,
    options: { readonly width: number; readonly colorScheme?: 'light' | 'dark' },
  ): Promise<{ readonly page: Page; readonly told: string[] }> {
    const { width, colorScheme = 'light' } = options;
    const page = await browser.newPage({
      viewport: { width, height: 900 },
      colorScheme,
      bypassCSP: false,
    });
    const told: string[] = [];
    const url = pathToFileURL(file).href;
    page.on('console', (message) => told.push(message.text()));
    page.on('pageerror', (error) => told.push(error.message));
    page.on('request', (request) => {
      if (request.url() !== url) told.push(request.url());
    });
    page.on('dialog', (dialog) => {
      told.push(`dialog ${dialog.message()}`);
      void dialog.dismiss();
    });
    await page.goto(url);
    return { page, told };
  }

  test.each([400, 1400])(
    'opens from a file at %d pixels, with no error, no request and nothing cut off',
    async (width) => {
      const { page, told } = await open(path, { width });
      expect(told).toEqual([]);
      expect(await page.evaluate('document.documentElement.scrollWidth')).toBe(width);
      const headings = await page.locator('h2').allTextContents();
      expect(headings).toEqual([
        'Gates',
        'Ledger',
        'Predictions',
        'Features',
        'Why',
        'The same keys, before and now',
        'Rows set aside',
        'Time',
        'Provenance',
      ]);
      await page.close();
    },
  );

  test('shows names and values of data as text, and runs nothing of them', async () => {
    const { page, told } = await open(path, { width: 1400 });
    const text = await page.locator('main').textContent();
    for (const shown of ['<script>alert(1)</script>', '<style>*{display:none}</style>'])
      expect(text).toContain(shown);
    expect(await page.locator('script, img, iframe, object, link, b:text("bold")').count()).toBe(0);
    expect(told).toEqual([]);
    // Even a script that came to stand in the page would not run.
    await page.evaluate(
      `document.body.insertAdjacentHTML('beforeend', '<img src="file:///x" onerror="document.title = 1">')`,
    );
    await page.waitForTimeout(200);
    expect(await page.title()).toMatch(/^hostile: run /);
    await page.close();
  });

  test('on all runs has a point for each, which leads to its page, and the limit of each gate', async () => {
    const output = join(path, '../../..');
    const { stdout } = await scoreline(['runs', output, '--html']);
    const { page, told } = await open(stdout.trim(), { width: 1400 });
    const links = await page
      .locator('figure a')
      .evaluateAll((all) => all.map((a) => a.getAttribute('href')));
    expect(links.length).toBeGreaterThan(4);
    expect(await page.locator('line.limit').count()).toBeGreaterThan(0);
    await page.locator('tbody a').first().click();
    await page.waitForURL(/report\.html$/);
    expect(await page.locator('h1').textContent()).toBe('hostile · staged, not published');
    expect(new Set(links)).toContain(`${basename(join(path, '..'))}/report.html`);
    expect(told.filter((line) => !line.endsWith('report.html'))).toEqual([]);
    await page.close();
  });

  test.each([
    ['light', 1400],
    ['dark', 1400],
    ['light', 400],
  ] as const)(
    'has nothing that keeps anybody from reading it: %s, %d pixels',
    async (colorScheme, width) => {
      const context = await browser.newContext({
        viewport: { width, height: 900 },
        colorScheme,
        bypassCSP: true,
      });
      const page = await context.newPage();
      const trend = join(path, '../../index.html');
      for (const file of [path, ...(existsSync(trend) ? [trend] : [])]) {
        await page.goto(pathToFileURL(file).href);
        await page.evaluate(axe.source);
        const found = (await page.evaluate('axe.run()')) as {
          readonly violations: readonly {
            readonly id: string;
            readonly nodes: readonly { readonly html: string }[];
          }[];
          readonly passes: readonly unknown[];
        };
        expect(found.passes.length).toBeGreaterThan(10);
        expect(found.violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`)).toEqual([]);
      }
      await context.close();
    },
  );

  test('of 300 columns stays small, and is drawn at once', async () => {
    const folder = join(path, '..');
    const quality = parseQuality(readFileSync(join(folder, 'report.json'), 'utf8'))!;
    const run = JSON.parse(readFileSync(join(folder, 'run.json'), 'utf8')) as RunReport;
    const columns = Array.from({ length: 300 }, (_, i) => ({
      ...quality.columns[i % quality.columns.length]!,
      name: `a column with a name of some length, number ${i}`,
      role: 'feature' as const,
    }));
    const large = join(folder, 'large.html');
    writeFileSync(large, runPage({ run, quality: { ...quality, columns }, tasks: [] }));
    expect(statSync(large).size).toBeLessThan(5_000_000);
    const { page, told } = await open(large, { width: 400 });
    expect(told).toEqual([]);
    expect(await page.locator('tbody svg').count()).toBe(300);
    await page.close();
  });
});
