// A table of words, numbers and intervals. Everything enters as text; bars are places on a scale from 0 to 1.

function bar({ low, value, high, middle }) {
  const percent = (share) => `${100 * Math.min(1, Math.max(0, share))}%`;
  const track = make('div', { className: 'interval' });
  track.setAttribute('aria-hidden', 'true');
  if (middle !== null) track.append(make('i', { className: 'middle' }));
  const span = make('i', { className: 'span' });
  Object.assign(span.style, { left: percent(low), width: percent(high - low) });
  const dot = make('i', { className: 'dot' });
  dot.style.left = percent(value);
  track.append(span, dot);
  if (middle !== null) track.firstChild.style.left = percent(middle);
  return track;
}

function cell({ text, more, bar: interval, strong }, title, first) {
  const made = make(first ? 'th' : 'td', {}, make('span', { className: strong ? 'main strong' : 'main', textContent: text }));
  if (first) made.scope = 'row';
  made.dataset.title = title;
  if (interval) made.append(bar(interval));
  if (more) made.append(make('small', { textContent: more }));
  return made;
}

function show() {
  const { columns, rows, empty, note } = props.value;
  const head = columns.map(({ title, hint }) => {
    const made = make('th', { scope: 'col', textContent: title });
    if (hint) made.append(make('small', { textContent: hint }));
    return made;
  });
  const body = rows.map(({ cells, tone }) => make('tr', { className: tone ?? '' }, ...cells.map((one, i) => cell(one, columns[i].title, i === 0))));
  const table = element.querySelector('table');
  table.hidden = !rows.length;
  table.replaceChildren(make('thead', {}, make('tr', {}, ...head)), make('tbody', {}, ...body));
  element.querySelector('.empty').textContent = rows.length ? '' : empty;
  element.querySelector('.board-note').textContent = note;
}

watch('value', show);
show();
