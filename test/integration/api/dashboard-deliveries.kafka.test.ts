import { afterAll, beforeAll, expect, test } from 'vitest';
import { DISABLED_REASONS } from '../../../shared/domain/disabled-reasons.ts';
import { eventId } from '../../../shared/domain/position.ts';
import { invoiceChange, untilCursor } from '../../support/dispatcher.ts';
import { waitFor } from '../../support/wait-for.ts';
import { openWebhookPages, type WebhookPages } from '../../support/webhook-pages.ts';

const HOSTILE = `<img src=x onerror="alert(1)">'"&</pre></script>`;

let pages: WebhookPages;
beforeAll(async () => {
  pages = await openWebhookPages();
});
afterAll(() => pages?.[Symbol.asyncDispose]());

test('a delivery fails, is explained with what was sent and came back, and is sent again', async () => {
  const { api, receiver, enter, subscribe, addEvent, attemptsOf } = pages;
  const account = await api.account();
  const session = await enter(account);
  receiver.answer = (_, response) => {
    response.writeHead(503, { 'x-note': HOSTILE, 'retry-after': '1' }).end(`${HOSTILE}down for maintenance`);
    return undefined;
  };
  const id = await subscribe(account, { headers: { 'X-Key': 'a secret of the customer' } });
  const path = `/dashboard/webhooks/${id}`;
  const { id: event } = await addEvent(account);
  const [attempt] = await waitFor('an attempt that failed', async () => {
    const found = await attemptsOf(account, id);
    return found.length > 0 ? found : undefined;
  });
  const list = await session.show(`${path}/attempts?outcome=failed&event_id=${event}`);
  expect(list.text).toContain('Status 503 · Not available');
  const page = await session.show(`${path}/attempts/${attempt?.id}`);
  expect(page.status).toBe(200);
  for (const shown of [
    'responded for the receiver',
    '/docs/failures#502-503-or-504',
    'down for maintenance',
    'webhook-signature',
    'x-note',
    '[hidden]',
    `&quot;id&quot;:&quot;${event}&quot;`,
  ]) {
    expect(page.text).toContain(shown);
  }
  expect(page.text).not.toContain('<img src=x');
  expect(page.text).not.toContain('a secret of the customer');
  expect((await api.call('GET', '/docs/failures')).text).toContain('id="502-503-or-504"');
  const endpoint = await session.show(path);
  expect(endpoint.text).toMatch(/data-text="behind">1 event</);
  expect(endpoint.text).toContain('Status 503 · Not available');

  receiver.answer = () => 204;
  const again = await session.send(`${path}/redeliver`, [
    ['event', event],
    ['attempt', attempt?.id ?? ''],
  ]);
  expect(again.headers.get('location')).toMatch(
    new RegExp(`^${path}/attempts/${attempt?.id}\\?done=(queued|upcoming)$`),
  );
  expect((await session.show(again.headers.get('location') ?? '')).text).toContain('role="status"');
  await waitFor('its delivery', async () => {
    const found = await attemptsOf(account, id, 'outcome=delivered');
    return found.some(({ event_id }) => event_id === event);
  });
  expect((await session.show(`${path}/attempts?outcome=delivered`)).text).toContain('Status 204 · Delivered');
});

test('the page of an event shows how its delivery fails, and delivers it again', async () => {
  const { bed, api, receiver, enter, subscribe, nextLsn } = pages;
  const account = await api.account();
  const session = await enter(account);
  receiver.answer = () => 500;
  const id = await subscribe(account);
  const lsn = nextLsn();
  const before = ['1', account.sourceId, 'memo', null];
  await bed.publish([invoiceChange({ account: account.sourceId, lsn, op: 'update', before })]);
  const event = eventId({ commitLsn: BigInt(lsn), index: 0 });
  const path = `/dashboard/events/${event}`;
  await waitFor('the failure', async () =>
    (await session.show(path)).text.includes('<strong>Status 500 · The receiver failed</strong>'),
  );
  receiver.answer = () => 200;
  expect((await session.show(path)).text).toMatch(/memo<ins class="value"> \d+<\/ins>/);
  const sent = await session.send(`${path}/redeliver`, [['webhook_id', id]]);
  const { text } = await session.show(sent.headers.get('location') ?? '');
  expect([sent.status, text]).toEqual([303, expect.stringContaining('role="status"')]);
  await waitFor('the delivery', async () => {
    const page = (await session.show(path)).text;
    return (
      page.includes('data-tone="green">Delivered') && page.includes('<strong>Status 200 · Delivered</strong>')
    );
  });
});

test('of a large batch the attempt shows the first events and the beginning of its body', async () => {
  const { bed, api, receiver, enter, subscribe, attemptsOf, nextLsn } = pages;
  const account = await api.account();
  const session = await enter(account);
  receiver.answer = () => 204;
  const id = await subscribe(account, { batch: { max_events: 500, max_wait_ms: 0 } });
  await api.call('POST', `/webhooks/${id}/pause`, { key: account.key });
  const last = nextLsn(400);
  const lsns = Array.from({ length: 400 }, (_, n) => last - 399 + n);
  await bed.addEvents(lsns.map((lsn) => ({ accountId: account.id, lsn, record: lsn })));
  await api.call('POST', `/webhooks/${id}/resume`, { key: account.key });
  await untilCursor(bed, id, last);
  const [attempt] = await waitFor('its attempt', async () => {
    const found = await attemptsOf(account, id);
    return found.length > 0 ? found : undefined;
  });
  const path = `/dashboard/webhooks/${id}/attempts`;
  expect((await session.show(path)).text).toContain('and 399 more in the batch');
  const { text } = await session.show(`${path}/${attempt?.id}`);
  expect(text).toContain('400 events in this batch');
  expect(text).toContain('and 380 more');
  expect(text.match(/name="event" value="evt_/g)).toHaveLength(20);
  expect(text).toContain('The first 16,384 characters of');
  expect(text.length).toBeLessThan(100_000);
});

test('a test is sent and its result explained; the endpoint is paused, resumed and deleted', async () => {
  const { bed, api, receiver, enter, subscribe, addEvent, attemptsOf } = pages;
  const account = await api.account();
  const session = await enter(account);
  receiver.answer = () => 301;
  const id = await subscribe(account);
  const path = `/dashboard/webhooks/${id}`;
  const sent = await session.send(`${path}/test`);
  expect(sent.headers.get('location')).toMatch(/\?test=test_\w+$/);
  const shown = async (reply: { headers: Headers }) => {
    await waitFor('the attempt of the test', async () => (await attemptsOf(account, id)).length > 0);
    return (await session.show(reply.headers.get('location') ?? '')).text;
  };
  expect(await shown(sent)).toContain('A redirect is never followed');
  receiver.answer = () => 200;
  const second = await session.send(`${path}/test`);
  await waitFor('the second test', async () => (await attemptsOf(account, id)).length > 1);
  expect(await shown(second)).toContain('Your receiver accepted it: status 200');

  expect((await session.send(`${path}/pause`)).headers.get('location')).toBe(`${path}?done=paused`);
  expect((await session.show(path)).text).toContain('The endpoint is paused.');
  const { lsn } = await addEvent(account);
  expect((await session.send(`${path}/resume`)).headers.get('location')).toBe(`${path}?done=resumed`);
  await untilCursor(bed, id, lsn);
  await api.pool.query(
    `update webhooks set status = 'disabled', missed_events = true, status_reason = $2 where id = $1`,
    [id, DISABLED_REASONS.missed],
  );
  const refused = await session.send(`${path}/resume`);
  expect([refused.status, refused.text]).toEqual([409, expect.stringContaining('no longer retained')]);
  expect(refused.text).toContain('Events that it did not get are no longer kept.');
  expect((await session.send(`${path}/delete`)).headers.get('location')).toBe(
    '/dashboard/webhooks?done=deleted',
  );
  expect((await session.show(path)).status).toBe(404);
});

test('what was given up is listed and sent again, alone or all since a time; what is refused is said on the page', async () => {
  const { bed, api, receiver, enter, subscribe, addEvent } = pages;
  const account = await api.account();
  const session = await enter(account);
  receiver.answer = () => 204;
  const id = await subscribe(account);
  const path = `/dashboard/webhooks/${id}`;
  const events = [await addEvent(account, 1), await addEvent(account, 2), await addEvent(account, 3)];
  await untilCursor(bed, id, events[2]?.lsn ?? 0);
  receiver.answer = () => 204;
  await bed.pool.query(
    `insert into webhook_parked (webhook_id, commit_lsn, idx, committed_at, record_key, attempt_count, next_attempt_at, state, last_error)
     select $1, e.commit_lsn, e.idx, e.committed_at, 'invoices/["1"]', 10, now(), 'dead', $3
       from events e where e.account_id = $2`,
    [
      id,
      account.id,
      JSON.stringify({ at: new Date().toISOString(), class: 'status', status: 413, excerpt: HOSTILE }),
    ],
  );
  const dead = async () => (await session.show(`${path}/dead-letters`)).text;
  const before = await dead();
  expect(before).toContain('Status 413 · Too large');
  expect(before.match(/name="event" value="evt_/g)).toHaveLength(3);
  expect(before).not.toContain('<img src=x');
  const one = await session.send(`${path}/redeliver`, [
    ['event', events[0]?.id ?? ''],
    ['list', 'dead'],
  ]);
  expect(one.headers.get('location')).toBe(`${path}/dead-letters?done=queued`);
  await waitFor(
    'one of them less',
    async () => (await dead()).match(/name="event" value="evt_/g)?.length === 2,
  );

  const since = (value: string) =>
    session.send(`${path}/recover`, [
      ['from', value],
      ['to', ''],
    ]);
  const refused = await since('2999-01-01T00:00');
  expect([refused.status, refused.text]).toEqual([
    422,
    expect.stringContaining('must be before to, and before now'),
  ]);
  expect(refused.text).toContain('value="2999-01-01T00:00"');
  expect((await since('yesterday')).text).toContain('must be an RFC 3339 timestamp');
  const today = new Date(Date.now() - 3_600_000).toISOString().slice(0, 16);
  expect((await since(today)).headers.get('location')).toBe(`${path}?done=recovering`);
  await waitFor('none of them left', async () => (await dead()).includes('No dead letters'));
  for (const event of events) {
    await receiver.until(
      'each event a second time',
      (all) => all.filter((r) => r.id === event.id).length >= 2,
    );
  }
  const replayed = await session.send(`${path}/replay`, [
    ['start', 'since'],
    ['since', today],
  ]);
  expect(replayed.headers.get('location')).toBe(`${path}?done=replaying`);
  for (const event of events) {
    await receiver.until(
      'each event a third time',
      (all) => all.filter((r) => r.id === event.id).length >= 3,
    );
  }
});

test('a filter that is refused keeps what was typed', async () => {
  const { api, enter, subscribe } = pages;
  const account = await api.account();
  const session = await enter(account);
  const path = `/dashboard/webhooks/${await subscribe(account)}/attempts`;
  const odd = await session.show(`${path}?event_id=${encodeURIComponent(HOSTILE)}&from=2026-01-01T00:00`);
  expect([odd.status, odd.text]).toEqual([422, expect.stringContaining('must be the ID of an event')]);
  expect(odd.text).toContain('value="2026-01-01T00:00"');
  expect(odd.text).not.toContain('<img src=x');
  const empty = await session.show(`${path}?outcome=&event_id=&from=&to=`);
  expect([empty.status, empty.text]).toEqual([
    200,
    expect.stringContaining('No attempts in the last 7 days.'),
  ]);
});
