package history

// An Invariant is a promise that holds under every fault, and the tests that would
// break if it did not. A test is named by its folder and its function.
type Invariant struct {
	Number int
	Says   string
	Tests  []string
}

// Invariants are the promises, each with the tests that hold it. That every test named
// here exists is checked with the rules of the house, in e2e/layout.
var Invariants = []Invariant{
	{1, "A single-use item is redeemed at most once, from any node, under any fault.",
		[]string{"e2e/house.TestHouse", "federation/oidc.TestParallelExchangesOfOneCodeSucceedOnce", "cluster.TestTwoNodesWithOneTokenOneWins"}},
	{2, "Every acknowledged write survives the crash of any minority, and a power loss of all nodes.",
		[]string{"e2e/house.TestHouse", "e2e/house.TestPowerLossOfAll", "fsm.TestPowerCutLeavesAPrefix", "cluster.TestLeaderCrashesUnderWrites"}},
	{3, "A write reported as not applied is never visible later.",
		[]string{"e2e/house.TestHouse", "cluster.TestHistoryIsLinearizable", "cluster.TestTheFourAnswers"}},
	{4, "Log order decides: nothing commits whose reads have changed, and a unique name is given once.",
		[]string{"e2e/house.TestHouse", "fsm.TestHistoryIsSerialAndReplicasAgree", "identity/directory.TestTwoNodesRaceForOneName"}},
	{5, "All replicas have the same chain and the same content at the same index.",
		[]string{"e2e/house.TestHouse", "fsm.TestCheckpointsAgreeWhateverTheGrouping"}},
	{6, "Snapshot ≤ durable ≤ commit index; what is applied goes back only by an announced restore.",
		[]string{"fsm.TestPowerCutLeavesAPrefix", "cluster/disk.TestLogFitsTheStore"}},
	{7, "Nothing is redeemed after its time; the log's time never goes back, whatever clocks do.",
		[]string{"e2e/house.TestClocksThatJump", "fsm.TestPurgeFollowsTheStatesTime", "cluster/stamp.TestStampsDoNotGoBack", "cluster.TestWrongClocksAreOutvoted"}},
	{8, "What a deposed leader's duty writes late never commits.",
		[]string{"e2e/house.TestHouse", "cluster/duty.TestLateWriteOfADeposedLeaderIsRefused", "cluster.TestDepositionFencesLateWrites", "identity/event.TestFollowIsFenced"}},
	{9, "No token is signed by a key that some member does not publish; no key goes before its tokens.",
		[]string{"e2e/house.TestHouse", "keys.TestNoTokenWithoutItsKeyInEveryJWKS", "keys.TestFourPhases"}},
	{10, "Reuse of a refresh token revokes its family, once, and everybody sees it within bound 12.",
		[]string{"e2e/house.TestHouse", "federation/oidc.TestRefreshReuseRevokesTheFamily"}},
	{11, "After a restore nothing issued before it is accepted.",
		[]string{"federation/oidc.TestTokenFromBeforeARestoreIsInvalid", "identity/session.TestCookieFromALifeBeforeTheRestore"}},
	{12, "A revocation is seen on every node within the bound; a node that cannot prove it is fresh refuses.",
		[]string{"e2e/house.TestHouse", "e2e/process.TestTakingAccessAway", "federation/oidc.TestStaleStateSaysYesToNothing"}},
	{13, "A browser that hops between nodes reads its own writes.",
		[]string{"e2e/house.TestHoppingBrowser", "federation/oidc.TestRefreshOnALaggingNodeWaits", "identity/session.TestFindWaitsForANodeThatLags"}},
	{14, "Consistent reads, redemption and lock-out are linearizable.",
		[]string{"e2e/house.TestHouse", "cluster.TestHistoryIsLinearizable", "identity/authn.TestGuessesAtOnce"}},
	{15, "Without any one node writes go on within 1.5 s; an orderly restart is not noticed.",
		[]string{"e2e/process.TestLeaderKills", "e2e/process.TestRollingRestart"}},
	{16, "One stalled or full disk stops nobody else for more than 7 s, or a follower for more than 15 s.",
		[]string{"e2e/process.TestFullDisk", "cluster/disk.TestWatchNoticesAWriteThatDoesNotReturn"}},
	{17, "A wiped or new node becomes a voter without an operator while others write.",
		[]string{"e2e/house.TestHouse", "e2e/house.TestRejoinUnderLoad", "cluster.TestGrowFromOneToThree"}},
	{18, "A rolling upgrade fails no sign-in.",
		[]string{"e2e/process.TestRollingUpgrade"}},
	{19, "What is held in memory is bounded.",
		[]string{"cluster/ask.TestFullQueueTurnsAway", "fsm/notice.TestHubHoldsAnIndexWholeOrNotAtAll", "identity/credential.TestPoolIsBounded"}},
	{20, "No byte of a stranger is processed on the cluster port; a removed node and a used token are refused.",
		[]string{"e2e/process.TestStrangersOnTheClusterPorts", "cluster.TestStrangersOnThePort", "cluster.TestTwoNodesWithOneTokenOneWins",
			"cluster.TestRemovedNodeCannotSpeakRaft", "cluster.TestRemovalVoidsTheTokenOfANode", "cluster.TestLostNodesComeBackAfterARecovery"}},
	{21, "The log and the store hold no secret in clear.",
		[]string{"e2e/house.TestNoSecretInClear", "keys.TestPrivateKeysAreSealedInTheLog"}},
}
