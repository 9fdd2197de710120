// What Gradio has no setting for: keys, clips inside the page on phones, bringing the stage into view there, downloads.

// Ctrl+Enter in the prompt presses the main button. Enter alone asks for a first frame, but not while something is being
// made: it would wait in the queue as a second run.
document.addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || !event.target.closest?.('#prompt')) return;
  const button = document.querySelector('#make');
  const pressed = event.ctrlKey || event.metaKey;
  if (!pressed && (event.shiftKey || !button.disabled)) return;
  event.preventDefault();
  event.stopPropagation();
  if (pressed) button.click();
}, true);

// Arrow keys move through a row of choices; each of Gradio's radio buttons is a group of its own to the browser.
document.addEventListener('keydown', (event) => {
  const ways = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  const way = ways[event.key];
  if (!way || event.target.type !== 'radio') return;
  const choices = [...event.target.closest('fieldset').querySelectorAll('input[type=radio]')];
  const next = choices[(choices.indexOf(event.target) + way + choices.length) % choices.length];
  event.preventDefault();
  next.focus();
  next.click();
});

// Without these an iPhone plays a clip in full screen or not at all.
document.addEventListener('loadstart', ({ target }) => {
  if (target.tagName === 'VIDEO') Object.assign(target, { muted: true, playsInline: true });
}, true);

// Who wants little motion starts the clip of the stage by hand; the other ones ask by themselves.
document.addEventListener('play', ({ target }) => {
  const unasked = target.tagName === 'VIDEO' && target.autoplay && !navigator.userActivation?.isActive;
  if (unasked && matchMedia('(prefers-reduced-motion: reduce)').matches) target.pause();
}, true);

// On a phone the stage lies below the button that was pressed.
document.addEventListener('click', (event) => {
  if (!event.target.closest?.('#make, #first-frame, #examples, #history')) return;
  const stage = document.querySelector('#stage');
  const { top, bottom } = stage.getBoundingClientRect();
  if (top >= innerHeight * 0.6 || bottom <= 200) glideTo(stage);
});

// The prompts on the four chips, as updates of Gradio's; an action of one's own may have fewer.
function shownPrompts(action) {
  const update = words => ({ __type__: 'update', value: words ?? '', visible: Boolean(words) });
  return Array.from({ length: 4 }, (_, place) => update(examplePrompts[action][place]));
}

// A prompt that was only an example, or none, becomes the first example of the action that is chosen now.
function promptFor(action, prompt) {
  const isExample = Object.values(examplePrompts).flat().includes(prompt);
  return isExample || !prompt.trim() ? examplePrompts[action][0] : prompt;
}

// What a browser remembers of the form comes after the page: what a visitor has changed since the start stays.
function unlessChanged(remembered, ...now) {
  return now.map((value, place) => value === remembered[place][0] ? remembered[place][1] : value);
}

// What was asked for may be out of view: a new pair above the form that made it, two first frames below the stage.
function bringIntoView(selector) {
  const part = document.querySelector(selector);
  const { top, bottom } = part.getBoundingClientRect();
  if (top < 0 || bottom > innerHeight) glideTo(part);
}

function glideTo(part) {
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  part.scrollIntoView({ behavior: calm ? 'auto' : 'smooth', block: 'start' });
}

// An element with properties of its own, and children.
function make(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Whether a key means a card that is in sight: wherever the focus is, but not where someone types, nor against what a
// control does itself.
function isKeyOf(card, event) {
  const { key, target } = event;
  if (card.offsetParent === null || document.hidden || event.defaultPrevented || event.repeat) return false;
  if (event.ctrlKey || event.altKey || event.metaKey) return false;
  if (target.closest?.('input, textarea, select, [contenteditable]')) return false;
  const own = target.closest?.('button, a, summary, [role=tab], [role=slider], [role=listbox]');
  return !(own && ['Enter', ' ', 'ArrowLeft', 'ArrowRight'].includes(key));
}

// Starts the download of what lies at an address.
function download(url, name) {
  const link = make('a', { href: url, download: name });
  link.click();
}

// Starts the download of a text as a file.
function downloadText(text, type, name) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  download(url, name);
  URL.revokeObjectURL(url);
}

// Who begins by keyboard would find the focus at the top of the page, as the button rests meanwhile: it returns there.
document.addEventListener('click', (event) => {
  const button = event.target.closest?.('#make, #first-frame, #reroll, #compare, #live-make');
  if (!button || document.activeElement !== button) return;
  const watching = setInterval(() => {
    if (!button.isConnected || document.activeElement !== document.body) return clearInterval(watching);
    if (button.disabled) return;
    button.focus({ preventScroll: true });
    clearInterval(watching);
  }, 200);
});

// Who cancels by keyboard would find the focus at the top of the page, as the button goes: it returns to what began.
document.addEventListener('click', (event) => {
  const cancel = event.target.closest?.('#cancel, #live-cancel');
  if (!cancel) return;
  const began = { cancel: '#make', 'live-cancel': '#live-make' }[cancel.id];
  const watching = setInterval(() => {
    if (cancel.isConnected && cancel.offsetParent) return;
    if ([document.body, cancel].includes(document.activeElement)) document.querySelector(began)?.focus();
    clearInterval(watching);
  }, 100);
});

// A link can ask for a tab: /?tab=rate. Who signs in on the tab Rate comes back by such a link.
function openAskedTab() {
  const asked = new URLSearchParams(location.search).get('tab');
  if (asked) document.querySelector(`[role=tab][data-tab-id="${CSS.escape(asked)}"]`)?.click();
}
// A reload, also by itself after the server was started again, opens the tab that was open.
document.addEventListener('click', (event) => {
  const tab = event.target.closest?.('[role=tab][data-tab-id]')?.dataset.tabId;
  const asked = event.target.closest?.('#sign-in') ? 'rate' : tab;
  if (!asked || new URLSearchParams(location.search).has('study')) return;
  const here = new URL(location);
  here.searchParams.set('tab', asked);
  if (asked === 'create') here.searchParams.delete('tab');
  history.replaceState(null, '', here);
}, true);

// Who comes by the link of a study sees that study, and nothing else of the page.
if (new URLSearchParams(location.search).has('study')) document.documentElement.classList.add('in-study');
