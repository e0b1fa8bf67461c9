// Browsers change a push subscription, or lose it, and mostly tell nobody. So each page of who is to be
// told compares this browser's with the mark of the one that is known:
//
//   <span hidden data-push-mark="SHA-256 of its endpoint" data-scope="path of the worker"></span>
//
// and has the worker see to it if it is another.
(async () => {
  'use strict';
  if (!('serviceWorker' in navigator && 'PushManager' in window)) return;
  const {pushMark, scope} = document.querySelector('[data-push-mark]').dataset;
  const registration = await navigator.serviceWorker.getRegistration(scope);
  if (!registration || !registration.active) return;
  const now = await registration.pushManager.getSubscription();
  const sum = now && new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(now.endpoint)));
  const mark = now && btoa(String.fromCharCode(...sum)).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '');
  if (!now || mark != pushMark) registration.active.postMessage('look');
})().catch(() => {});
