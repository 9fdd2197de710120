const still = matchMedia('(prefers-reduced-motion: reduce)').matches;

// Clips play only while they can be seen: a phone decodes just a few at a time.
const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting && !still) target.play().catch(() => {});
    else target.pause();
  }
});

function card({ clip, title, prompt }, place) {
  const video = make('video', { src: clip.url, loop: true, muted: true, playsInline: true, preload: 'auto' });
  video.setAttribute('aria-hidden', 'true');
  seen.observe(video);
  const words = [make('b', { textContent: title }), make('span', { textContent: prompt })];
  const button = make('button', { type: 'button' }, video, ...words);
  button.setAttribute('aria-label', `Load settings: ${prompt}`);
  button.addEventListener('click', () => trigger('pick', { place }));
  return make('li', {}, button);
}

function show() {
  const cards = props.value ?? [];
  seen.disconnect();
  element.querySelector('.wall').replaceChildren(...cards.map(card));
  element.querySelector('.empty').textContent = cards.length ? '' : props.empty;
}

watch('value', show);
show();
