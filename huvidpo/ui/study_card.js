// One clip of a study with its questions. The server says which clip comes when, and checks every answer.

const find = (selector) => element.querySelector(selector);
const card = find('.study');
const video = find('video');
const calm = matchMedia('(prefers-reduced-motion: reduce)');
let shown = null; // what the server said last
let given = {}; // question -> 1 to 5
let state = 'empty'; // empty, open, sending
let watched = false; // to its end, once

Object.assign(video, { muted: true, playsInline: true, preload: 'auto' });

function question([name, words]) {
  const marks = [1, 2, 3, 4, 5].map((value) => {
    const button = make('button', { type: 'button', textContent: value });
    button.dataset.value = value;
    button.setAttribute('aria-label', `${words} ${value} of 5`);
    button.addEventListener('click', () => answer(name, value));
    return button;
  });
  const row = make('div', { className: 'question-row' }, make('span', { textContent: words }), ...marks);
  row.append(make('small', { textContent: 'not at all' }), make('small', { textContent: 'fully' }));
  Object.assign(row.dataset, { question: name });
  row.setAttribute('role', 'group');
  row.setAttribute('aria-label', words);
  return row;
}

const names = () => shown.questions.map(([name]) => name);
const complete = () => names().every((name) => given[name]);
// Keys answer the first question that is open; the last one when none is.
const current = () => names().find((name) => !given[name]) ?? names().at(-1);

function answer(name, value) {
  if (state !== 'open') return;
  given[name] = value;
  say(complete() && !watched ? 'Please watch the clip to its end once.' : '');
  draw();
}

function next() {
  if (state !== 'open') return;
  if (!watched) {
    say('Please watch the clip to its end once.');
    play();
  } else if (!complete()) {
    say('Please answer all three questions.');
  } else {
    send('mark', { answers: given });
  }
}

function back() { if (state !== 'sending' && shown?.can_go_back) send('back', {}); }

function send(event, payload) {
  state = 'sending';
  draw();
  trigger(event, { position: shown.position, ...payload });
}

function play() {
  if (video.error) video.load(); // what failed to come may come now
  video.play().then(drawPlay, drawPlay);
}
function toggle() { if (video.paused) play(); else video.pause(); }
function drawPlay() {
  find('.play').textContent = video.paused ? 'Play' : 'Pause';
  card.classList.toggle('paused', video.paused);
}

function say(text) { find('.note').textContent = text ?? ''; }

function draw() {
  card.dataset.state = state;
  for (const row of element.querySelectorAll('.question-row')) {
    row.classList.toggle('current', state === 'open' && !complete() && row.dataset.question === current());
    for (const button of row.querySelectorAll('button')) {
      button.setAttribute('aria-pressed', given[row.dataset.question] === Number(button.dataset.value));
    }
  }
  find('.next').classList.toggle('waiting', state !== 'open' || !complete() || !watched);
}

function update() {
  const told = props.value;
  const another = told.clip && told.position !== shown?.position;
  shown = told;
  state = told.clip ? 'open' : 'empty';
  if (another) {
    given = { ...told.given };
    watched = Object.keys(given).length > 0;
    find('.questions').replaceChildren(...told.questions.map(question));
    video.src = told.clip.url;
    if (calm.matches) drawPlay(); else play();
  }
  if (!told.clip) video.removeAttribute('src');
  find('.words').textContent = told.prompt;
  find('.count').textContent = told.count;
  find('.bar').setAttribute('aria-valuemax', told.total);
  find('.bar').setAttribute('aria-valuenow', told.done);
  find('.bar i').style.width = `${told.total ? 100 * told.done / told.total : 0}%`;
  find('.back').hidden = !told.can_go_back;
  say(told.note);
  draw();
}

function onKey(event) {
  if (!element.isConnected) { document.removeEventListener('keydown', onKey); return; }
  if (!isKeyOf(element, event)) return;
  const { key } = event;
  const actions = { Enter: next, Backspace: back, ' ': toggle };
  const action = '12345'.includes(key) && state === 'open' ? () => answer(current(), Number(key)) : actions[key];
  if (!action) return;
  event.preventDefault();
  action();
}

video.addEventListener('ended', () => { watched = true; draw(); play(); });
video.addEventListener('error', () => { if (shown?.clip) say('The clip could not be loaded: press Play to try again.'); });
for (const event of ['play', 'pause']) video.addEventListener(event, drawPlay);
find('.screen').addEventListener('click', toggle);
find('.play').addEventListener('click', toggle);
find('.next').addEventListener('click', next);
find('.back').addEventListener('click', back);
// After a click by mouse or finger the keys mean the whole card again; who goes by Tab keeps the focus.
card.addEventListener('click', ({ target, detail }) => { if (detail) target.closest('button')?.blur(); }, true);
document.addEventListener('keydown', onKey);
watch('value', update);
update();
