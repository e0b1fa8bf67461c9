// Has this browser told of what waits (Web Push), by forms of the server:
//
//   <form hidden method="post" action="…" data-push="key" data-worker="path" data-denied="…" data-failed="…">
//     <input type="hidden" name="endpoint"> … p256dh, auth, key … <button>…</button> <p role="alert" data-fault hidden></p>
//   </form>
//   <form method="post" action="…" data-push-stop="path">…</form>
//
// The first shows where a browser can, [data-without-push] where not. Asking for permission takes
// a press. The second works without a script too, which has the browser forget its part.
(() => {
  'use strict';
  if (!('serviceWorker' in navigator && 'PushManager' in window && 'Notification' in window)) return;
  const workers = navigator.serviceWorker, all = s => document.querySelectorAll(s);
  const decode = s => Uint8Array.from(atob(s.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0));
  const source = window.trustedTypes ? trustedTypes.createPolicy('worker', {createScriptURL: s => s}) : {createScriptURL: s => s};

  async function drop(registration) {
    const old = registration && await registration.pushManager.getSubscription();
    if (old) await old.unsubscribe();
  }
  async function start(form) {
    if (await Notification.requestPermission() != 'granted') return form.dataset.denied;
    await workers.register(source.createScriptURL(form.dataset.worker));
    const registration = await workers.ready;
    await drop(registration); // it may be bound to another key
    const made = (await registration.pushManager.subscribe({userVisibleOnly: true, applicationServerKey: decode(form.dataset.push)})).toJSON();
    form.elements.endpoint.value = made.endpoint;
    form.elements.p256dh.value = made.keys.p256dh;
    form.elements.auth.value = made.keys.auth;
    form.submit();
  }

  for (const e of all('[data-without-push]')) e.hidden = true;
  for (const form of all('form[data-push]')) {
    const button = form.querySelector('button'), fault = form.querySelector('[data-fault]');
    form.hidden = false;
    form.addEventListener('submit', async e => {
      e.preventDefault();
      fault.hidden = button.disabled = true;
      const why = await start(form).catch(() => form.dataset.failed);
      if (!why) return;
      fault.textContent = why;
      fault.hidden = button.disabled = false;
    });
  }
  for (const form of all('form[data-push-stop]')) form.addEventListener('submit', async e => {
    e.preventDefault();
    try {
      const registration = await workers.getRegistration(form.dataset.pushStop);
      await drop(registration);
      if (registration) await registration.unregister();
    } catch {}
    form.submit();
  });
})();
