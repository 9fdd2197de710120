function row({ id, title, prompt }) {
  const words = document.createElement('div');
  words.append(
    Object.assign(document.createElement('b'), { textContent: title }),
    Object.assign(document.createElement('span'), { textContent: prompt, title: prompt }),
  );
  const buttons = [['Change', 'rerate'], ['Withdraw', 'withdraw']].map(([name, event]) => {
    const button = Object.assign(document.createElement('button'), { type: 'button', textContent: name });
    button.setAttribute('aria-label', `${name}: ${title}, ${prompt}`);
    button.addEventListener('click', () => { button.disabled = true; trigger(event, { rating: id }); });
    return button;
  });
  const item = document.createElement('li');
  item.append(words, ...buttons);
  return item;
}

function show() {
  const ratings = props.value ?? [];
  element.querySelector('.own-ratings').replaceChildren(...ratings.map(row));
  element.querySelector('.empty').textContent = ratings.length ? '' : props.empty;
}

watch('value', show);
show();
