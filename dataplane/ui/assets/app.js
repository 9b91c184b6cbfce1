'use strict';
// The page of a querier: runs a query, shows table or graph, lists the stores. No dependencies.

const $ = (id) => document.getElementById(id);
const MAX_SERIES_DRAWN = 100;
const MAX_ROWS = 2000;
const REFRESH_STORES_MS = 15000;
const UNITS = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86400, w: 604800, y: 31536000 };
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400];
let running = null;

function seconds(text) {
  let total = 0;
  for (const [, n, unit] of text.matchAll(/(\d+)(ms|[smhdwy])/g)) total += n * UNITS[unit];
  return total;
}

// Elements are made, never parsed: labels and errors are foreign text.
function el(name, props, ...children) {
  const node = document.createElement(name);
  Object.assign(node, props);
  node.append(...children.filter((c) => c !== null && c !== undefined));
  return node;
}

function svg(name, attributes, text) {
  const node = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

function seriesName(metric) {
  const { __name__: name = '', ...labels } = metric;
  const pairs = Object.keys(labels).sort().map((key) => `${key}=${JSON.stringify(labels[key])}`);
  return name + (pairs.length || !name ? `{${pairs.join(', ')}}` : '');
}

const isGraph = () => document.querySelector('input[name=tab]:checked').value === '0';

function chosenTime() {
  const value = $('end').value;
  return value ? new Date(value).getTime() / 1000 : Date.now() / 1000;
}

function showNotes(body) {
  const note = (kind) => (text) => el('li', { className: kind }, `${kind}: ${text}`);
  $('notes').replaceChildren(...(body.warnings || []).map(note('warning')), ...(body.infos || []).map(note('info')));
}

async function call(path, params, signal) {
  const options = params ? { method: 'POST', body: new URLSearchParams(params), signal } : { signal };
  const response = await fetch(`api/v1/${path}`, options);
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${response.status} ${response.statusText}: ${text.slice(0, 500)}`);
  }
}

async function run() {
  const query = $('expr').value.trim();
  if (!query || !$('form').reportValidity()) return;
  if (running) running.abort();
  const mine = running = new AbortController();
  const graph = isGraph();
  const params = {
    query, dedup: $('dedup').checked, partial_response: $('partial').checked,
    max_source_resolution: $('resolution').value,
  };
  const end = chosenTime();
  if (graph) {
    const range = seconds($('range').value) || 3600;
    const wanted = range / 250;
    params.step = seconds($('step').value) || STEPS.find((s) => s >= wanted) || Math.ceil(wanted);
    params.start = end - range;
    params.end = end;
  } else {
    params.time = end;
  }
  remember();
  $('run').disabled = true;
  $('status').textContent = 'running…';
  const began = performance.now();
  try {
    const body = await call(graph ? 'query_range' : 'query', params, mine.signal);
    $('error').textContent = body.status === 'success' ? '' : `${body.errorType}: ${body.error}`;
    showNotes(body);
    const results = body.data ? body.data.result : [];
    const count = body.data && ['vector', 'matrix'].includes(body.data.resultType) ? `${results.length} series, ` : '';
    $('status').textContent = `${count}${Math.round(performance.now() - began)} ms`;
    if (!body.data) $('result').replaceChildren();
    else if (body.data.resultType === 'matrix' && graph) drawGraph(results, params);
    else drawTable(body.data);
  } catch (error) {
    if (error.name === 'AbortError') return;
    $('error').textContent = String(error.message || error);
    $('status').textContent = '';
    $('result').replaceChildren();
  } finally {
    if (running === mine) { running = null; $('run').disabled = false; }
  }
}

function drawTable({ resultType, result }) {
  if (resultType === 'scalar' || resultType === 'string') result = [{ metric: null, value: result }];
  if (!result.length) return $('result').replaceChildren(el('p', { className: 'muted' }, 'No data. Nothing matched at this time.'));
  const show = (s) => {
    if (s.value) return s.value[1];
    if (s.histogram) return `count ${s.histogram[1].count}, sum ${s.histogram[1].sum}`;
    return (s.values || s.histograms || []).map(([t, v]) => `${typeof v === 'string' ? v : `count ${v.count}`} @${t}`).join('\n');
  };
  const rows = result.slice(0, MAX_ROWS).map((s) => el('tr', {},
    el('td', {}, el('code', {}, s.metric ? seriesName(s.metric) : resultType)),
    el('td', { className: 'number', style: 'white-space:pre' }, show(s))));
  const head = el('tr', {}, el('th', { scope: 'col' }, 'Series'), el('th', { scope: 'col' }, 'Value'));
  const more = result.length > MAX_ROWS ? el('p', { className: 'muted' }, `${result.length - MAX_ROWS} more series are not shown.`) : null;
  $('result').replaceChildren(el('table', {}, el('thead', {}, head), el('tbody', {}, ...rows)), ...(more ? [more] : []));
}

const colour = (i) => `hsl(${(i * 137.5 + 225) % 360} 65% ${matchMedia('(prefers-color-scheme: dark)').matches ? 65 : 42}%)`;

function shortNumber(v) {
  const a = Math.abs(v);
  for (const [limit, unit] of [[1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']]) if (a >= limit) return `${+(v / limit).toPrecision(4)}${unit}`;
  return a && a < 1e-3 ? v.toExponential(2) : String(+v.toPrecision(4));
}

function ticks(min, max, n) {
  const raw = (max - min) / n || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw) || raw;
  const list = [];
  for (let v = Math.ceil(min / step) * step; v <= max + step * 1e-9; v += step) list.push(v);
  return list;
}

function drawGraph(result, { start, end, step }) {
  const drawn = result.slice(0, MAX_SERIES_DRAWN).map((s, i) => ({
    name: seriesName(s.metric), colour: colour(i), shown: true,
    points: (s.values || []).map(([t, v]) => [t, parseFloat(v)]),
  }));
  if (!drawn.length) return $('result').replaceChildren(el('p', { className: 'muted' }, 'No data in this range.'));
  const [W, H, L, R, T, B] = [1000, 360, 60, 12, 12, 26];
  const picture = svg('svg', { viewBox: `0 0 ${W} ${H}`, role: 'img', 'aria-label': `Graph of ${result.length} series` });
  const x = (t) => L + ((t - start) / (end - start || 1)) * (W - L - R);
  const clock = (t, long) => new Date(t * 1000).toLocaleString([], end - start > 86400 || long
    ? { month: 'short', day: 'numeric', hour: '2-digit', minute: '2-digit' } : { hour: '2-digit', minute: '2-digit', second: end - start < 600 ? '2-digit' : undefined });
  function paint() {
    let [low, high] = [Infinity, -Infinity];
    for (const s of drawn) if (s.shown) for (const [, v] of s.points) if (Number.isFinite(v)) { low = Math.min(low, v); high = Math.max(high, v); }
    if (low > high) [low, high] = [0, 1];
    if (low === high) [low, high] = [low - (Math.abs(low) / 10 || 1), high + (Math.abs(high) / 10 || 1)];
    const y = (v) => T + (1 - (v - low) / (high - low)) * (H - T - B);
    picture.replaceChildren();
    for (const v of ticks(low, high, 5)) {
      picture.append(svg('line', { class: 'grid', x1: L, x2: W - R, y1: y(v), y2: y(v) }),
        svg('text', { x: L - 6, y: y(v) + 4, 'text-anchor': 'end' }, shortNumber(v)));
    }
    for (let i = 0; i <= 6; i++) {
      const t = start + ((end - start) * i) / 6;
      picture.append(svg('text', { x: x(t), y: H - 8, 'text-anchor': i === 0 ? 'start' : i === 6 ? 'end' : 'middle' }, clock(t)));
    }
    for (const s of drawn) {
      if (!s.shown) continue;
      // A step without a sample is a gap, not a line across it.
      let piece = [];
      const flush = () => {
        if (piece.length === 1) picture.append(svg('circle', { cx: piece[0][0], cy: piece[0][1], r: 2, fill: s.colour }));
        else if (piece.length) picture.append(svg('polyline', { points: piece.map((p) => p.join()).join(' '), stroke: s.colour }));
        piece = [];
      };
      let last = -Infinity;
      for (const [t, v] of s.points) {
        if (!Number.isFinite(v) || t - last > step * 1.5) flush();
        if (Number.isFinite(v)) piece.push([x(t).toFixed(1), y(v).toFixed(1)]);
        last = t;
      }
      flush();
    }
    cursor = svg('line', { class: 'cursor', y1: T, y2: H - B, visibility: 'hidden' });
    picture.append(cursor);
  }
  let cursor;
  const legend = drawn.map((s) => {
    s.output = el('output');
    const button = el('button', { type: 'button' }, el('i', { style: `background:${s.colour}` }), el('code', {}, s.name), s.output);
    button.setAttribute('aria-pressed', 'true');
    button.addEventListener('click', () => {
      s.shown = !s.shown;
      button.setAttribute('aria-pressed', s.shown);
      paint();
    });
    return el('li', {}, button);
  });
  const moment = el('p', { className: 'muted' }, result.length > drawn.length ? `The first ${drawn.length} of ${result.length} series are drawn.` : ' ');
  picture.addEventListener('pointermove', (event) => {
    const box = picture.getBoundingClientRect();
    const at = start + (((event.clientX - box.left) / box.width * W - L) / (W - L - R)) * (end - start);
    const t = start + Math.round((at - start) / step) * step;
    if (t < start || t > end) return;
    cursor.setAttribute('x1', x(t));
    cursor.setAttribute('x2', x(t));
    cursor.setAttribute('visibility', 'visible');
    moment.textContent = clock(t, true);
    for (const s of drawn) {
      const point = s.points.find((p) => Math.abs(p[0] - t) < step / 2);
      s.output.textContent = point ? shortNumber(point[1]) : '–';
    }
  });
  paint();
  $('result').replaceChildren(picture, moment, el('ul', { className: 'legend' }, ...legend));
}

async function showStores() {
  const when = (ms) => ms <= -6e13 ? 'the beginning' : ms >= 9e15 ? 'now' : new Date(ms).toLocaleString();
  try {
    const { data = {} } = await call('stores');
    const rows = Object.keys(data).sort().flatMap((kind) => data[kind].map((s) => el('tr', {},
      el('td', {}, kind), el('td', {}, el('code', {}, s.name)),
      el('td', { className: s.lastError ? 'down' : '' }, s.lastError || 'up'),
      el('td', {}, el('code', {}, (s.labelSets || []).map(seriesName).join(' '))),
      el('td', {}, `${when(s.minTime)} – ${when(s.maxTime)}`))));
    const head = ['Kind', 'Address', 'State', 'External labels', 'Time'].map((t) => el('th', { scope: 'col' }, t));
    $('stores').replaceChildren(rows.length
      ? el('table', {}, el('thead', {}, el('tr', {}, ...head)), el('tbody', {}, ...rows))
      : el('p', { className: 'muted' }, 'No store is known. Start the querier with --endpoint or an endpoint file.'));
  } catch (error) {
    $('stores').replaceChildren(el('p', { className: 'down' }, `Stores could not be listed: ${error.message}`));
  }
}

// The address holds the query, with the names that links from alerts use.
function remember() {
  const url = new URLSearchParams({ 'g0.expr': $('expr').value, 'g0.tab': isGraph() ? 0 : 1, 'g0.range_input': $('range').value });
  if ($('end').value) url.set('g0.end_input', new Date($('end').value).toISOString());
  if ($('step').value) url.set('g0.step_input', $('step').value);
  if (!$('dedup').checked) url.set('g0.deduplicate', 0);
  if (!$('partial').checked) url.set('g0.partial_response', 0);
  if ($('resolution').value !== '0s') url.set('g0.max_source_resolution', $('resolution').value);
  history.replaceState(null, '', `?${url}`);
}

function recall() {
  const url = new URLSearchParams(location.search);
  const get = (name, fallback) => url.get(`g0.${name}`) || fallback;
  $('expr').value = get('expr', '');
  $('range').value = get('range_input', '1h');
  $('step').value = get('step_input', '');
  $('dedup').checked = get('deduplicate', '1') !== '0';
  $('partial').checked = get('partial_response', '1') !== '0';
  $('resolution').value = get('max_source_resolution', '0s');
  if ($('resolution').selectedIndex < 0) $('resolution').value = 'auto';
  const end = new Date(get('end_input', '') || NaN);
  if (!isNaN(end)) $('end').value = new Date(end - end.getTimezoneOffset() * 60000).toISOString().slice(0, 19);
  document.querySelector(`input[name=tab][value="${get('tab', '1') === '0' ? 0 : 1}"]`).checked = true;
}

function showTab() {
  document.body.classList.toggle('as-table', !isGraph());
  $('end-label').textContent = isGraph() ? 'End' : 'Time';
}

recall();
showTab();
$('form').addEventListener('submit', (event) => { event.preventDefault(); run(); });
$('expr').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey) { event.preventDefault(); run(); }
});
for (const radio of document.querySelectorAll('input[name=tab]')) radio.addEventListener('change', () => { showTab(); run(); });
call('status/buildinfo').then((body) => { $('version').textContent = body.data ? body.data.version : ''; }, () => {});
showStores();
setInterval(() => { if (!document.hidden) showStores(); }, REFRESH_STORES_MS);
if ($('expr').value) run();
