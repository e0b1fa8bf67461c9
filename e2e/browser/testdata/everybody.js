// What a page owes to who has no pointer, and to who sees it in colours of their own. Evaluated in a page;
// each function returns what is wrong.
(() => {
  const shown = e => e.checkVisibility({visibilityProperty: true});
  const name = e => e.outerHTML.slice(0, 160);

  // stops are the elements that a person can do something with, in the order of the document. Of the radio
  // buttons of a group the keyboard stops at one.
  const stops = () => [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex], [contenteditable]')].filter(e =>
    e.tabIndex >= 0 && !e.matches(':disabled') && shown(e) &&
    (e.type != 'radio' || e == (document.querySelector(`[name="${e.name}"]:checked`) || document.querySelector(`[name="${e.name}"]`))));

  // WCAG 2.2, 2.4.7: what has the focus shows it. 2.4.11: nothing lies over it.
  const ring = e => (s => s.outlineStyle == 'none' ? '' : [s.outlineStyle, s.outlineWidth, s.outlineColor].join(' '))(getComputedStyle(e));
  function sees(e, before) {
    const now = ring(e), box = e.getClientRects()[0], top = box && document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
    if (!now || now == before || parseFloat(getComputedStyle(e).outlineWidth) < 2) return ['the focus is not seen at ' + name(e)];
    if (!top || !e.contains(top)) return ['under ' + (top ? name(top) : 'nothing') + ' has the focus ' + name(e)];
    return [];
  }

  let walk; // of the keyboard, while it lasts
  const heard = () => walk.went.push(document.activeElement) && walk.faults.push(...walk.all.includes(document.activeElement) ? sees(document.activeElement, walk.rings.get(document.activeElement)) : []);

  // begin makes the next Tab the first, and returns how many it takes to go through the page.
  function begin() {
    const before = document.activeElement;
    document.body.tabIndex = -1;
    document.body.focus();
    document.body.removeAttribute('tabindex');
    const all = stops();
    walk = {before, at: [scrollX, scrollY], all, rings: new Map(all.map(e => [e, ring(e)])), marked: all.map(e => [e, e.selectionStart, e.selectionEnd]), went: [], faults: []};
    document.addEventListener('keyup', heard, true);
    return all.length;
  }
  function end() {
    const {all, went, faults, before, at, marked} = walk, same = all.length <= went.length && all.every((e, i) => e == went[i]);
    document.removeEventListener('keyup', heard, true);
    if (!same) {
      const i = all.findIndex((e, i) => e != went[i]);
      faults.push(`Tab ${i + 1} of ${all.length} leads to ${went[i] ? name(went[i]) : 'nothing'}, not to ${name(all[i])}`);
    } else if (went.length > all.length && went[all.length] != document.body && went[all.length] != all[0])
      faults.push('behind its last element the page keeps the focus at ' + name(went[all.length]));
    for (const [e, from, to] of marked) if (from != null) e.setSelectionRange(from, to); // Tab marks all of a field
    back(before, at);
    return faults;
  }
  function back(before, at) {
    if (before == document.body) document.activeElement.blur();
    else before.focus({preventScroll: true});
    scrollTo(...at);
  }

  // WCAG 2.2, 2.5.8 asks for 24 px, but for links within a sentence; 44 are what a finger needs.
  function small() {
    return [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary')].filter(e => {
      const box = (e.closest('label') || e).getBoundingClientRect();
      return box.width > 0 && (box.height < 43.5 || box.width < 24) && !e.closest('p:not(.actions):not(.links)');
    }).map(e => `${name(e)} is ${e.getBoundingClientRect().height} px high`);
  }

  // moving: who asks for less motion gets none. What takes no time, however late it comes, is none.
  function moving() {
    const s = e => getComputedStyle(e), lasts = times => times.split(', ').some(t => parseFloat(t) > 0), all = [...document.querySelectorAll('*')];
    return [
      ...document.getAnimations().filter(a => a.effect.getComputedTiming().duration > 0).map(a => 'an animation of ' + name(a.effect.target)),
      ...all.filter(e => s(e).scrollBehavior == 'smooth' || s(e).animationName != 'none' && lasts(s(e).animationDuration) || lasts(s(e).transitionDuration)).map(e => 'it moves: ' + name(e)),
    ];
  }

  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  function rgba(colour) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  }
  const light = ([r, g, b]) => [r, g, b].map(c => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4).reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (a, b) => (([x, y]) => (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05))([light(a), light(b)]);
  function behind(e) {
    for (; e; e = e.parentElement) {
      const c = rgba(getComputedStyle(e).backgroundColor);
      if (c[3] > 127) return c;
    }
    return rgba('Canvas');
  }

  // surfaces are told from what is around them by their background.
  const surfaces = () => [...document.querySelectorAll('body *')].filter(e => shown(e) && getComputedStyle(e).clipPath == 'none' && !(e instanceof SVGElement) &&
    rgba(getComputedStyle(e).backgroundColor)[3] > 0 && String(behind(e)) != String(behind(e.parentElement)));
  let coloured = [];
  const remember = () => (coloured = surfaces()).length;

  const edged = e => (s => ['Top', 'Right', 'Bottom', 'Left'].every(side => parseFloat(s[`border${side}Width`]) > 0 && s[`border${side}Style`] != 'none' &&
    contrast(rgba(s[`border${side}Color`]), behind(e.parentElement)) >= 3))(getComputedStyle(e));
  const says = e => e.innerText.trim() != '' || e.matches('input, select, textarea');

  // forced looks for what gets lost in the colours of a person's system, WCAG 2.2, 1.4.1 and 1.4.11.
  function forced() {
    const faults = [], before = document.activeElement, at = [scrollX, scrollY];
    for (const e of coloured) if (!edged(e) && contrast(behind(e), behind(e.parentElement)) < 3) faults.push('only its colour told it from the rest: ' + name(e));
    for (const e of document.querySelectorAll('button:not(.link), .button, input:not([type=hidden], [type=checkbox], [type=radio]), select, textarea'))
      if (shown(e) && !edged(e)) faults.push('it has no edge: ' + name(e));
    for (const e of document.querySelectorAll('svg *')) {
      const s = getComputedStyle(e), paints = [s.fill, s.stroke].filter(c => c != 'none').map(rgba).filter(c => c[3] > 0);
      if (shown(e) && e.getBBox && paints.length && s.forcedColorAdjust != 'none' && !paints.some(c => contrast(c, behind(e.closest('svg').parentElement)) >= 3)) faults.push('it is not seen: ' + name(e));
    }
    for (const e of stops()) {
      if (!says(e) && !e.querySelector('svg')) faults.push('it says nothing: ' + name(e));
      document.activeElement.blur();
      const unfocused = ring(e);
      e.focus({focusVisible: true});
      faults.push(...sees(e, unfocused));
    }
    back(before, at);
    return faults;
  }

  // untold: who does not see an error hears of it by the focus, on the alert or on a field that it describes.
  function untold() {
    const alert = document.getElementById('alert'), at = document.activeElement;
    const told = !alert || !shown(alert) || alert.contains(at) || (at.getAttribute('aria-describedby') || '').split(' ').some(id => /^alert$|-error$/.test(id));
    return told ? [] : ['the focus is at ' + name(at) + ' and says nothing of ' + alert.innerText];
  }

  return {untold, begin, end, small, moving, remember, forced};
})()
