// Passkeys for forms of the server; what the browser makes goes into a field:
//
//   <form method="post" action="…" hidden data-passkey="get" data-options="{…}" data-autofill
//     data-cancelled="…" data-exists="…" data-unfit="…" data-failed="…">
//     <input type="hidden" name="response"> … <button>…</button> <p role="alert" data-fault hidden></p>
//   </form>
//
// data-passkey: get or create; data-options: its options as JSON. data-autofill: offer passkeys in the
// list of the field with autocomplete="username webauthn" too. [data-fault] says: cancelled or late; one
// is here already; none can; else. The form and [data-with-passkey] show if the browser can,
// [data-without-passkey] if not. Boxes with data-with-answer are sent along if checked. Anywhere: data-passkey-accepted, -details, -unknown for its signals.
//
// [data-passkey-makes] gets the value yes where one could be made after signing in. A form to create
// one with data-then="…" is an offer: it shows where a press can make one. With data-unasked (options, too) one
// is tried for by itself, as browsers may right after they filled in a password (WebAuthn L3, conditional create).
(() => {
  'use strict';
  const PKC = window.PublicKeyCredential, keeper = navigator.credentials, all = s => document.querySelectorAll(s);
  if (!PKC || !keeper) return;

  // Browsers and password managers may be older than JSON at both ends.
  const decode = s => Uint8Array.from(atob(s.replace(/-/g, '+').replace(/_/g, '/')), c => c.charCodeAt(0));
  const encode = b => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/[+/=]/g, c => ({'+': '-', '/': '_'})[c] || '');
  function options(form, make, unasked) {
    const o = JSON.parse(form.dataset[unasked ? 'unasked' : 'options']), parse = make ? 'parseCreationOptionsFromJSON' : 'parseRequestOptionsFromJSON';
    if (PKC[parse]) return PKC[parse](o);
    for (const d of [o.user, ...o.allowCredentials || [], ...o.excludeCredentials || []]) if (d) d.id = decode(d.id);
    o.challenge = decode(o.challenge);
    return o;
  }
  function answer(c) {
    if (c.toJSON) return c.toJSON();
    const r = c.response, response = {transports: r.getTransports ? r.getTransports() : []};
    for (const k of ['clientDataJSON', 'attestationObject', 'authenticatorData', 'signature', 'userHandle'])
      if (r[k]) response[k] = encode(r[k]);
    return {id: c.id, rawId: c.id, type: c.type, response, clientExtensionResults: c.getClientExtensionResults()};
  }

  const faults = {NotAllowedError: 'cancelled', InvalidStateError: 'exists', ConstraintError: 'unfit', NotSupportedError: 'unfit'};
  function say(form, e) {
    const p = form.querySelector('[data-fault]');
    p.textContent = e ? form.dataset[faults[e.name]] || form.dataset.failed : '';
    p.hidden = !e;
  }

  let waiting; // behind the list: there may be one at a time
  async function ask(form, autofill) {
    const make = form.dataset.passkey == 'create', button = form.querySelector('button');
    if (waiting) {
      waiting.stop.abort();
      await waiting.over;
    }
    const unasked = make && autofill, stop = new AbortController();
    const request = {publicKey: options(form, make, unasked), signal: stop.signal};
    if (autofill) request.mediation = 'conditional';
    else button.disabled = true;
    if (unasked) setTimeout(() => stop.abort(), 4000); // nobody is to wait for what they did not ask for
    try {
      const got = keeper[make ? 'create' : 'get'](request);
      waiting = autofill && {stop, over: got.catch(() => {})};
      form.elements.response.value = JSON.stringify(answer(await got));
      for (const e of all('[data-with-answer]:checked')) form.append(Object.assign(document.createElement('input'), {type: 'hidden', name: e.name, value: e.value}));
      if (unasked) form.elements.unasked.value = 'yes';
      form.submit();
    } catch (e) {
      if (autofill) return;
      button.disabled = false;
      say(form, e);
      offer(form);
    }
  }
  async function offer(form) {
    if ('autofill' in form.dataset && PKC.isConditionalMediationAvailable && await PKC.isConditionalMediationAvailable()) ask(form, true);
  }

  async function makes() {
    const can = PKC.getClientCapabilities ? await PKC.getClientCapabilities() : {}, here = PKC.isUserVerifyingPlatformAuthenticatorAvailable;
    return {quietly: can.conditionalCreate, here: !!here && await here.call(PKC)};
  }
  async function propose(form) {
    const can = await makes();
    form.hidden = !can.here;
    if (can.quietly && 'unasked' in form.dataset) await ask(form, true);
    if (!can.here && !form.elements.response.value) location.replace(form.dataset.then);
  }

  for (const e of all('[data-without-passkey]')) e.hidden = true;
  for (const e of all('form[data-passkey]:not([data-then]),[data-with-passkey]')) e.hidden = false;
  for (const e of all('[data-passkey-makes]')) makes().then(can => { if (can.quietly || can.here) e.value = 'yes'; });
  for (const form of all('form[data-then]')) propose(form);
  for (const form of all('form[data-passkey]')) {
    form.addEventListener('submit', e => {
      e.preventDefault();
      say(form);
      ask(form);
    });
    offer(form);
    addEventListener('pageshow', e => e.persisted && offer(form));
  }
  for (const [key, tell] of [['accepted', 'AllAcceptedCredentials'], ['details', 'CurrentUserDetails'], ['unknown', 'UnknownCredential']])
    for (const e of all(`[data-passkey-${key}]`))
      if (PKC['signal' + tell]) PKC['signal' + tell](JSON.parse(e.getAttribute('data-passkey-' + key))).catch(() => {});
})();
