// Says of a new password, while it is typed, what its form would say when it is sent:
//
//   <input id="x" data-check="/password/check?lang=en" data-good="…"> …
//   <meter id="x-strength" min="0" max="4" aria-hidden="true"></meter><p id="x-verdict" aria-live="polite"></p>
//
// It asks a moment after the last key, with the fields of the form that tell whose password it is.
// When nothing can be asked nothing is said: the server judges the form in any case.
(() => {
  'use strict';
  for (const field of document.querySelectorAll('input[data-check]')) {
    const verdict = document.getElementById(field.id + '-verdict'), strength = document.getElementById(field.id + '-strength');
    let timer, asked;
    function say(text, good, score = 0) {
      strength.value = score;
      verdict.textContent = text;
      verdict.classList.toggle('good', good);
    }
    async function ask() {
      asked = new AbortController();
      const body = new URLSearchParams({password: field.value});
      for (const name of ['username', 'email', 'name']) {
        const other = field.form.elements.namedItem(name);
        if (other) body.set(name, other.value);
      }
      try {
        const answer = await fetch(field.dataset.check, {method: 'POST', body, signal: asked.signal, headers: {Accept: 'application/json'}});
        if (!answer.ok) return say('', false);
        const {faults, score} = await answer.json();
        say(faults.length ? faults[0].text : field.dataset.good, !faults.length, score);
      } catch (e) {
        if (e.name != 'AbortError') say('', false);
      }
    }
    field.addEventListener('input', () => {
      clearTimeout(timer);
      if (asked) asked.abort();
      if (field.value) timer = setTimeout(ask, 400);
      else say('', false);
    });
  }
})();
