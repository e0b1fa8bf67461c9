// What is shown once can be kept with one press: [data-copy="id"] copies what the element with that ID
// says, and tells it in the [role=status] behind it by the words of data-copied; [data-print] prints the page.
for (const b of document.querySelectorAll('[data-copy],[data-print]')) {
  const from = document.getElementById(b.dataset.copy);
  if (from && !navigator.clipboard) continue; // the page came by plain HTTP
  b.hidden = false;
  b.addEventListener('click', async () => {
    if (!from) return print();
    try {
      await navigator.clipboard.writeText(from.textContent);
      b.nextElementSibling.textContent = b.dataset.copied;
    } catch {
      getSelection().selectAllChildren(from);
    }
  });
}
