// Package registration lets strangers make themselves an account, where a tenant wants that:
// first they prove an address, then they have one.
//
// Nothing is stored before the address is proved, and nobody learns whether it is somebody's
// already. What must be remembered meanwhile is a sealed box that the browser carries: which
// address it is about, and the state of the code that was mailed (package mailcode). The box
// of an address that is taken looks the same, and no code is ever right for it. It is not
// bound to a browser: whoever reads the mail may go on where they read it.
//
// Wrong codes count for the address, at all nodes, whichever box they were for and whether or not it is
// taken (authn.Flows.ProveAddress); else each box would be five guesses more.
//
// A registration makes one account, which its mark says until its box has expired (authn.Spend): the box
// is of no use once that account is gone or has another address. Of two who finish with one address
// at once, on whatever nodes, one finds it taken. When the address was proved is in the box, since
// an account may be made with it a day later.
//
// Not here: sending the mail, the pages, how much a stranger may ask for, and what proves
// who the person is from then on.
package registration
