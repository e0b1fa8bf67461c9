// Shows a password for as long as the person wants to see it, by the button after its field, and never sends it so:
// browsers remember what is sent as text.
//
//   <label for="x">…</label><input id="x" type="password"><button class="peek" data-hide="Hide" hidden>Show</button>
//
// It is a module, so that a page with two such fields runs it once.
for (const button of document.querySelectorAll('.peek')) {
  const field = button.previousElementSibling, what = field.labels[0].textContent, words = [button.textContent, button.dataset.hide];
  const show = shown => {
    field.type = shown ? 'text' : 'password';
    button.textContent = words[+shown];
    button.ariaLabel = words[+shown] + ': ' + what;
  };
  show(false);
  button.hidden = false;
  button.addEventListener('click', () => show(field.type == 'password'));
  field.form.addEventListener('submit', () => show(false));
}
