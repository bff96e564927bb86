import { expect, test } from 'vitest';
import { html } from '../../pages/html.ts';
import { renderLive } from './live.ts';

const page = (rows: string, share: number, files: readonly string[], height = 0, last = '/a') =>
  renderLive(
    (live) =>
      html`<p>${live.text('rows', rows)}</p>${live.bar('share', { value: share, label: 'Rows' })}<svg>${live.column('noon', { x: 5, width: 4, y: 10 - height, height, series: 'delivered' })}</svg>${live.link('last', last, `to ${last}`)}<ul>${files.map((file) => html`<li>${file}</li>`)}</ul>`,
  );

test('what is live is patched, and leaves the shape as it is', () => {
  const [before, after] = [page('1 row', 0.1, []), page('<2 rows>', 0.2, [], 3, '/b')];
  expect(after.state).toEqual({
    shape: before.state.shape,
    texts: { rows: '<2 rows>' },
    bars: { share: 0.2 },
    columns: { noon: [7, 3] },
    links: { last: ['/b', 'to /b'] },
  });
  expect(after.content.text).toContain('<span data-text="rows">&lt;2 rows&gt;</span>');
});

test('whatever else changes makes another shape', () => {
  expect(page('1 row', 0.1, ['a.csv']).state.shape).not.toBe(page('1 row', 0.1, []).state.shape);
});
