// Package roster is the members of the cluster: what this node sees of each of them, and
// every change of who they are.
//
// Every node asks every member, about twice a second, how far it is; so that status needs
// no quorum and nobody waits for a member that hangs. The leader lets new nodes vote, and takes dead
// ones out, by the rules of package autopilot. Whoever wants a change may ask any node.
//
// Invariants: only a leader that has committed in its own term changes anything, one change at a
// time; only a configuration that is committed can tell a node that it was removed.
//
// Not here: the rules (autopilot), taking a new node in (cluster, form), Raft's own messages.
package roster
