// Tells the person that a sign-in waits for their approval, and opens the page that asks for
// its number. What comes by push is shown and nothing else: where it leads stands here, and
// nothing can be answered from here.
const answer = new URL('approvals/sign-in', self.registration.scope).href;
self.addEventListener('push', e => {
  let said = {};
  try { said = e.data.json(); } catch {}
  e.waitUntil(self.registration.showNotification(String(said.title || 'Somebody signs in as you'), {body: String(said.body || 'Open to answer.'), tag: 'approval', renotify: true}));
});
self.addEventListener('notificationclick', e => {
  e.notification.close();
  e.waitUntil(self.clients.openWindow(answer));
});
