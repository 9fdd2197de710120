// The pair on the stage: plays it, collects an answer, sends it. The server draws the sides, and checks all that is sent.

const SEGMENTS = 4;
const QUESTIONS = { alignment: 'Fits the prompt', quality: 'Looks good', consistency: 'Frames fit together' };
const CHOICES = { 1: 'left', 2: 'both_good', 3: 'both_bad', 4: 'right', ArrowLeft: 'left', ArrowRight: 'right' };
const SIDES = ['left', 'right'];

const find = (selector) => element.querySelector(selector);
const all = (selector) => [...element.querySelectorAll(selector)];
const booth = find('.booth');
const side = Object.fromEntries(SIDES.map((name) => [name, find(`[data-side=${name}]`)]));
const calm = matchMedia('(prefers-reduced-motion: reduce)');
let showing = null; // the pair on the stage
let state = 'empty'; // empty, loading, open, sending, locked
let resting = false; // whether the clips play again once they can be seen
let record = null; // what the visitor has done with this pair so far
const blobs = new Map(); // address -> promise of the clip as an object in memory, so that the next pair is there at once
const clock = new PairClock(...SIDES.map((name) => side[name].querySelector('video')), onFrame);

// Playing

function fetchClip(url) {
  if (!blobs.has(url)) {
    blobs.set(url, fetch(url).then((answer) => {
      if (!answer.ok) throw new Error(`${answer.status}`);
      return answer.blob();
    }).then(URL.createObjectURL));
    blobs.get(url).catch(() => blobs.delete(url));
  }
  return blobs.get(url);
}

function forget(kept) {
  for (const [url, clip] of blobs) {
    if (kept.includes(url)) continue;
    blobs.delete(url);
    clip.then(URL.revokeObjectURL, () => {});
  }
}

async function load(next) {
  showing = next;
  const { segments = Array(SEGMENTS).fill('-'), answers = {} } = next?.marks ?? {}; // those of an answer taken back
  record = { seen: new Set(), last: -1, plays: 0, watched: 0, ready: 0, segments: [...segments], answers: { left: { ...answers.left }, right: { ...answers.right } } };
  setState(next ? 'loading' : 'empty');
  say('');
  draw();
  if (!next) return;
  try {
    const urls = await Promise.all(SIDES.map((name) => fetchClip(next[name].url)));
    if (!(await clock.load(...urls, next.frames, next.fps)) || showing !== next) return;
  } catch {
    if (showing === next) say('This pair could not be loaded. Skip it, or reload the page.');
    return;
  }
  record.ready = performance.now();
  setState('open');
  onFrame(clock.frame, false); // the first frame stands there already
  say(calm.matches ? 'Press play to watch both clips.' : next.note);
  resting = !calm.matches && !visible();
  if (!calm.matches && !resting) clock.play();
  drawTransport();
}

function visible() { return element.offsetParent !== null && !document.hidden; }

function onFrame(frame, ended) {
  if (!record || state === 'loading' || state === 'empty') return;
  const gap = frame - record.last;
  const from = clock.playing && gap > 0 && gap <= 4 ? record.last + 1 : frame; // a busy machine drops frames
  for (let i = from; i <= frame; i += 1) record.seen.add(i);
  if (clock.playing && gap > 0) record.watched += gap / showing.fps;
  if (ended) record.plays += 1;
  record.last = ended ? -1 : frame;
  booth.dataset.drift = Math.abs(clock.drift).toFixed(3);
  drawTransport();
}

const watchedOnce = () => record.seen.size >= showing.frames;

// Answering

function choose(choice) {
  if (state !== 'open' || props.watching) return;
  if (!watchedOnce()) {
    say('Please watch both clips to the end once, then choose.');
    if (!clock.playing) clock.play();
    return;
  }
  send('rate', {
    choice,
    segments: record.segments,
    answers: record.answers,
    decision_ms: Math.round(performance.now() - record.ready),
    seen: record.seen.size,
    watched: Math.round(record.watched * 100) / 100,
    plays: Math.max(1, record.plays), // all frames were seen, perhaps step by step
  });
}

function skip() { if (!props.watching && (state === 'open' || state === 'loading')) send('skip', {}); }
function undo() { if (['open', 'locked', 'empty'].includes(state) && props.value.can_undo) send('undo', {}); }
function next() { if (state === 'locked') { load(props.value.showing); side.left.closest('.pair').focus({ preventScroll: true }); } }

function send(event, payload) {
  setState('sending');
  trigger(event, { showing: showing?.id ?? '', ...payload });
}

function better(name, segment) {
  if (state !== 'open') return;
  const other = name === 'left' ? 'right' : 'left';
  const marked = { left: ['left', 'tie'], right: ['right', 'tie'] };
  const label = record.segments[segment];
  const now = { [name]: !marked[name].includes(label), [other]: marked[other].includes(label) };
  record.segments[segment] = now.left && now.right ? 'tie' : now.left ? 'left' : now.right ? 'right' : '-';
  draw();
  clock.seek(Math.floor(segment * showing.frames / SEGMENTS)).then(() => { if (clock.wanted) clock.play(); });
}

function answer(name, question, value) {
  if (state !== 'open') return;
  const given = record.answers[name];
  given[question] = given[question] === value ? 0 : value;
  draw();
}

// Drawing

function setState(name) {
  state = name;
  booth.dataset.state = name;
  booth.setAttribute('aria-busy', name === 'loading' || name === 'sending');
  drawTransport();
}

function say(text) { find('.note').textContent = text ?? ''; }

function draw() {
  const told = props.watching ? props.value.names : state === 'locked' ? props.value.revealed : null;
  find('.words').textContent = showing ? showing.prompt : '';
  booth.style.setProperty('--shape', showing ? `${showing.width} / ${showing.height}` : '1');
  booth.classList.toggle('wide', Boolean(showing) && showing.width > 1.3 * showing.height);
  for (const name of SIDES) {
    side[name].querySelector('.name').textContent = told ? told[name] : '';
    side[name].classList.toggle('chosen', Boolean(told) && told.choice === name);
    for (const [i, button] of all(`[data-side=${name}] .segments button`).entries()) {
      button.setAttribute('aria-pressed', Boolean(record) && [name, 'tie'].includes(record.segments[i]));
    }
    for (const button of all(`[data-side=${name}] .answers button`)) {
      const { question, value } = button.dataset;
      button.setAttribute('aria-pressed', record?.answers[name][question] === Number(value));
    }
  }
  for (const button of all('.choices button')) {
    button.setAttribute('aria-pressed', Boolean(told) && told.choice === button.dataset.choice);
  }
  find('.undo').hidden = !props.value.can_undo;
  find('.next').textContent = props.value.showing ? 'Next pair' : 'Done';
}

function drawTransport() {
  const frame = Math.max(0, clock.frame);
  Object.assign(find('.seek'), { max: (showing?.frames ?? 16) - 1, value: frame });
  find('.seek').setAttribute('aria-valuetext', `frame ${frame + 1}`);
  find('.frame').textContent = showing ? `${frame + 1} / ${showing.frames}` : '';
  find('.play').textContent = clock.playing ? 'Pause' : 'Play';
  booth.classList.toggle('paused', !clock.playing);
  booth.classList.toggle('unseen', state === 'open' && !watchedOnce());
  const part = showing ? Math.floor(frame * SEGMENTS / showing.frames) : -1;
  for (const row of all('.segments')) [...row.children].forEach((button, i) => button.classList.toggle('now', i === part));
}

function mark(words, label, onClick) {
  const button = make('button', { type: 'button', textContent: words });
  button.setAttribute('aria-label', label);
  button.setAttribute('aria-pressed', false);
  button.addEventListener('click', onClick);
  return button;
}

function build() {
  for (const name of SIDES) {
    const title = name === 'left' ? 'Left' : 'Right';
    for (let i = 0; i < SEGMENTS; i += 1) {
      const button = mark('', `${title} is better in part ${i + 1} of ${SEGMENTS}`, () => better(name, i));
      side[name].querySelector('.segments').append(button);
    }
    for (const [question, words] of Object.entries(QUESTIONS)) {
      const row = make('div', { className: 'question-row' }, make('span', { textContent: words }));
      for (let value = 1; value <= 5; value += 1) {
        const button = mark(value, `${title}: ${words}, ${value} of 5`, () => answer(name, question, value));
        Object.assign(button.dataset, { question, value });
        row.append(button);
      }
      side[name].querySelector('.answers').append(row);
    }
    side[name].querySelector('.screen').addEventListener('click', toggle);
  }
  for (const button of all('.choices button')) button.addEventListener('click', () => choose(button.dataset.choice));
  // After a click by mouse or finger the keys mean the whole player again; who goes by Tab keeps the focus.
  booth.addEventListener('click', ({ target, detail }) => { if (detail) target.closest('button')?.blur(); }, true);
  const pressed = { '.play': toggle, '.back': () => step(-1), '.on': () => step(1), '.skip': skip, '.undo': undo, '.next': next };
  for (const [selector, action] of Object.entries(pressed)) find(selector).addEventListener('click', action);
  find('.seek').addEventListener('input', ({ target }) => { clock.pause(); clock.seek(Number(target.value)); });
  find('.seek').addEventListener('pointerup', ({ target }) => target.blur()); // so that keys choose again
  find('.ask-more').addEventListener('click', ({ target }) => {
    target.setAttribute('aria-expanded', booth.classList.toggle('with-answers'));
  });
}

function toggle() {
  if (!showing || state === 'loading') return;
  if (clock.playing) clock.pause(); else clock.play();
  drawTransport();
}

function step(by) {
  if (!showing) return;
  clock.pause();
  clock.seek((clock.frame + by + showing.frames) % showing.frames);
}

function onKey(event) {
  if (!element.isConnected) { document.removeEventListener('keydown', onKey); return; }
  if (!isKeyOf(element, event)) return;
  const { key } = event;
  const actions = { ' ': toggle, ',': () => step(-1), '.': () => step(1), s: skip, u: undo, Enter: next };
  const action = CHOICES[key] ? () => choose(CHOICES[key]) : actions[key.length === 1 ? key.toLowerCase() : key];
  if (!action) return;
  event.preventDefault();
  action();
}

// What the server says: a pair to rate; or that the pair on the stage is rated, who was who, and which one is next.
function update() {
  const { showing: given, revealed, note } = props.value;
  const urls = given ? SIDES.map((name) => given[name].url) : [];
  if (revealed && showing && revealed.id === showing.id) {
    setState('locked');
    draw();
    say(note);
    urls.forEach((url) => fetchClip(url).catch(() => {}));
    find('.next').focus({ preventScroll: true });
  } else if (given && showing && given.id === showing.id && state !== 'empty') {
    if (state === 'sending') setState(record.ready ? 'open' : 'loading'); // an answer that was refused
    draw();
    say(note);
  } else {
    forget(urls);
    load(given);
    if (!given) say(note);
  }
}

// Out of sight, on another tab say, the clips rest; they go on when they are seen again.
new IntersectionObserver((entries) => {
  const seen = entries.at(-1).isIntersecting;
  if (!seen && clock.playing) {
    resting = true;
    clock.pause();
  } else if (seen && resting) {
    resting = false;
    clock.play();
  }
  drawTransport();
}).observe(find('.pair'));
// The browser's own tabs are no matter of the observer.
document.addEventListener('visibilitychange', () => {
  if (!element.isConnected || !resting || !visible()) return;
  resting = false;
  clock.play();
  drawTransport();
});
booth.classList.toggle('watching', Boolean(props.watching));
document.addEventListener('keydown', onKey);
build();
watch('value', update);
update();
