let shown = [];

function card({ clip, name }, place) {
  const video = make('video', { src: clip.url, loop: true, muted: true, playsInline: true });
  video.setAttribute('aria-label', name);
  if (!matchMedia('(prefers-reduced-motion: reduce)').matches) video.autoplay = true;
  else video.controls = true;
  const range = make('input', { type: 'range', min: 0, max: 10, step: 0.5, value: 5 });
  range.setAttribute('aria-label', `Score of ${name}`);
  const output = make('output', { textContent: '–' });
  const score = () => { output.textContent = range.value; shown[place] = Number(range.value); count(); };
  for (const event of ['input', 'change', 'click']) range.addEventListener(event, score); // a tap on 5 counts as well
  return make('li', {}, video, make('label', {}, make('span', { textContent: name }), output, range));
}

function count() {
  const button = element.querySelector('.scored-go');
  const left = shown.filter((score) => score === null).length;
  button.hidden = !shown.length;
  button.disabled = left > 0;
  button.textContent = left ? `${left} still to score` : 'Save these scores';
}

function show() {
  const clips = props.value.clips;
  shown = clips.map(() => null);
  element.querySelector('.scored').replaceChildren(...clips.map(card));
  element.querySelector('.empty').textContent = props.value.note;
  count();
}

element.querySelector('.scored-go').addEventListener('click', () => {
  element.querySelector('.scored-go').disabled = true;
  setTimeout(count, 3000); // a refusal changes nothing here: the scores can be sent again
  trigger('scores', { set: props.value.set, scores: shown });
});
watch('value', show);
show();
