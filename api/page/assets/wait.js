// Waits for what happens in another browser: asks the address in data-poll until it answers
// 200. A form is sent then, and goes where it would go by its button; anything else is shown.
// Whoever has no script has the button, and pages that know when they are loaded.
for (const e of document.querySelectorAll('[data-poll]')) {
  const form = e.tagName == 'FORM', again = () => setTimeout(look, form ? 1500 : 5000);
  const look = async () => {
    if (document.hidden) return again();
    try {
      const r = await fetch(e.dataset.poll, form ? {method: 'POST', body: new URLSearchParams(new FormData(e))} : {});
      if (r.status == 200) return form ? e.submit() : e.hidden = false;
      if (r.status >= 400 && r.status < 500) return;
    } catch {}
    again();
  };
  again();
}
