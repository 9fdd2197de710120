function row({ id, title, prompt }) {
  const words = make('div', {}, make('b', { textContent: title }), make('span', { textContent: prompt, title: prompt }));
  const buttons = [['Change', 'rerate'], ['Withdraw', 'withdraw']].map(([name, event]) => {
    const button = make('button', { type: 'button', textContent: name });
    button.setAttribute('aria-label', `${name}: ${title}, ${prompt}`);
    button.addEventListener('click', () => {
      button.disabled = true;
      setTimeout(() => { button.disabled = false; }, 2000); // the list stays as it is when a pair is only opened again
      trigger(event, { rating: id });
      const stage = document.querySelector('.booth:not(.study)');
      if (event === 'rerate' && stage?.getBoundingClientRect().top < 0) stage.scrollIntoView({ block: 'start' });
    });
    return button;
  });
  return make('li', {}, words, ...buttons);
}

function show() {
  const ratings = props.value ?? [];
  element.querySelector('.own-ratings').replaceChildren(...ratings.map(row));
  element.querySelector('.empty').textContent = ratings.length ? '' : props.empty;
}

watch('value', show);
show();
