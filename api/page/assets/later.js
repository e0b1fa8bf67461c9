// A form that asks for one thing first, and has what comes later in it from the start, so that password managers
// find and fill both. What has data-later is hidden until then, or has other words then:
//
//   <form>… <div hidden data-later><input …></div> <button><span data-later="Sign in">Continue</span></button></form>
//
// The first time that the form is sent it shows what it hides instead, unless that is filled in already, or the button
// takes a form as it is (formnovalidate). Without this script the server does it.
(() => {
  'use strict';
  const later = document.querySelectorAll('[data-later]'), field = document.querySelector('form [data-later] input:not([type=checkbox])');
  const send = e => {
    if (field.value || e.submitter && e.submitter.formNoValidate) return;
    e.preventDefault();
    e.target.removeEventListener('submit', send);
    for (const part of later) {
      part.hidden = false;
      if (part.dataset.later) part.textContent = part.dataset.later;
    }
    field.required = true;
    field.focus();
  };
  field.form.addEventListener('submit', send);
})();
