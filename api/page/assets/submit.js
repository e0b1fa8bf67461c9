// The form is all that its page is for: a response on its way to an application.
document.forms[0].submit();
