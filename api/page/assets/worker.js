// Tells the person that a sign-in waits for their approval, and opens the page that asks for its number; or
// that somebody is getting back into their account, or sets another password, and opens the page where that is seen to. What comes by push is shown
// and nothing else: where it leads stands here, and nothing can be answered from here.
const at = path => new URL(path, self.registration.scope).href;
const pages = {approval: at('approvals/sign-in'), recovery: at('security'), password: at('security')};
self.addEventListener('push', e => {
  let said = {};
  try { said = e.data.json(); } catch {}
  e.waitUntil(self.registration.showNotification(String(said.title || 'Somebody signs in as you'), {body: String(said.body || 'Open to answer.'), tag: Object.hasOwn(pages, said.news) ? said.news : 'approval', renotify: true}));
});
self.addEventListener('notificationclick', e => {
  e.notification.close();
  e.waitUntil(self.clients.openWindow(pages[e.notification.tag]));
});

// When the browser has changed its subscription, or a page sees that it is another than the one that
// is known (follow.js), what there is now is posted. The answer 200 is a key to subscribe anew
// with, 204 that it is kept, and anything else that it is not wanted.
const subscription = at('approvals/subscription');
const encode = b => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');
const decode = s => Uint8Array.from(atob(s.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0));
async function post(now, key = now && encode(now.options.applicationServerKey)) {
  const body = new URLSearchParams();
  if (now) {
    const {endpoint, keys} = now.toJSON();
    for (const [name, value] of Object.entries({endpoint, p256dh: keys.p256dh, auth: keys.auth, key})) body.set(name, value);
  }
  const r = await fetch(subscription, {method: 'POST', body, redirect: 'error'});
  return r.status == 200 ? r.text() : '';
}
async function look() {
  if (Notification.permission != 'granted') return;
  const manager = self.registration.pushManager, now = await manager.getSubscription(), key = await post(now);
  if (!key) return;
  if (now) await now.unsubscribe(); // it is bound to another, or gone
  await post(await manager.subscribe({userVisibleOnly: true, applicationServerKey: decode(key)}), key);
}
let looking;
const once = e => e.waitUntil(looking ??= look().catch(() => {}).finally(() => looking = null));
self.addEventListener('pushsubscriptionchange', once);
self.addEventListener('message', once);
self.addEventListener('install', () => self.skipWaiting());
