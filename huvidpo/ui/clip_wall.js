const still = matchMedia('(prefers-reduced-motion: reduce)').matches;

// Clips play only while they can be seen: a phone decodes just a few at a time.
const seen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting && !still) target.play().catch(() => {});
    else target.pause();
  }
});

function card({ clip, title, prompt }, place) {
  const video = Object.assign(document.createElement('video'), { src: clip.url, loop: true, muted: true, playsInline: true });
  video.setAttribute('aria-hidden', 'true');
  video.preload = 'auto';
  seen.observe(video);
  const name = Object.assign(document.createElement('b'), { textContent: title });
  const words = Object.assign(document.createElement('span'), { textContent: prompt });
  const button = Object.assign(document.createElement('button'), { type: 'button' });
  button.setAttribute('aria-label', `Load settings: ${prompt}`);
  button.append(video, name, words);
  button.addEventListener('click', () => trigger('pick', { place }));
  const item = document.createElement('li');
  item.append(button);
  return item;
}

function show() {
  const cards = props.value ?? [];
  seen.disconnect();
  element.querySelector('.wall').replaceChildren(...cards.map(card));
  element.querySelector('.empty').textContent = cards.length ? '' : props.empty;
}

watch('value', show);
show();
