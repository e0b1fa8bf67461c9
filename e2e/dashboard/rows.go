package dashboard

// here keeps a panel to the nodes that were chosen.
const here = `instance=~"$instance"`

// Rows is what the dashboard shows, from what everybody asks to what explains it.
func Rows() []Row {
	return []Row{overview(), logins(), tokens(), latency(), raft(), storage(), hashing(), duties()}
}

func stat(title, unit, doc, expr string) Panel {
	return Panel{Title: title, Doc: doc, Kind: "stat", Unit: unit, Width: 4, Queries: []Query{{expr, ""}}}
}

func plot(title, unit, doc string, queries ...Query) Panel {
	return Panel{Title: title, Doc: doc, Kind: "timeseries", Unit: unit, Width: 8, Queries: queries}
}

// quantiles plots the median and the 99th percentile of a histogram.
func quantiles(title, doc, metric, by, legend string) Panel {
	sum := "sum by (le" + comma(by) + ") (rate(" + metric + "_bucket{" + here + "}[$__rate_interval]))"
	return plot(title, "s", doc,
		Query{"histogram_quantile(0.5, " + sum + ")", legend + " p50"},
		Query{"histogram_quantile(0.99, " + sum + ")", legend + " p99"})
}

func comma(by string) string {
	if by == "" {
		return ""
	}
	return ", " + by
}

func overview() Row {
	return Row{"Overview", []Panel{
		stat("Nodes that answer", "short", "Targets of the job quis that could be scraped.", `sum(up{job="quis"})`),
		stat("Leaders", "short", "1 in health; 0: nothing can be written.", `sum(quis_raft_state{state="leader"})`),
		stat("Voters", "short", "Members that decide.", `max(quis_raft_peers{voter="true"})`),
		stat("Healthy voters", "short", "As the most pessimistic node sees it.", `min(quis_raft_healthy_voters)`),
		stat("Users", "short", "Of all tenants.", `max(quis_users)`),
		stat("Applications", "short", "Of all tenants.", `max(quis_apps)`),
		stat("Sessions", "short", "That have neither expired nor been ended.", `max(quis_sessions_active)`),
		stat("Requests per second", "reqps", "On the public listeners.", `sum(rate(quis_http_requests_total[5m]))`),
		stat("Failing requests", "percentunit", "Share of answers 5xx.",
			`sum(rate(quis_http_requests_total{code=~"5.."}[5m])) / sum(rate(quis_http_requests_total[5m])) or vector(0)`),
		stat("Token p99", "s", "Time that the token endpoint takes.",
			`histogram_quantile(0.99, sum by (le) (rate(quis_http_request_duration_seconds_bucket{route="/oauth2/token"}[5m])))`),
		stat("Least disk free", "percentunit", "Of any node's data directory.", `min(quis_disk_free_bytes / quis_disk_size_bytes)`),
		stat("Releases", "short", "More than 1 while a rolling upgrade is under way.", `count(count by (version, revision) (quis_build_info))`),
		{Title: "What runs", Doc: "Release and commit of each node.", Kind: "table", Unit: "short", Width: 12,
			Queries: []Query{{`sum by (instance, version, revision, goversion) (quis_build_info)`, ""}}},
		plot("Requests", "reqps", "By the class of their answer.",
			Query{`sum by (code) (rate(quis_http_requests_total{` + here + `}[$__rate_interval]))`, "{{code}}"}).wide(12),
	}}
}

func logins() Row {
	return Row{"Logins", []Panel{
		plot("Sign-ins", "ops", "Attempts by method and result.",
			Query{`sum by (method, result) (rate(quis_logins_total{` + here + `}[$__rate_interval]))`, "{{method}} {{result}}"}),
		plot("Why sign-ins fail", "ops", "A rise of wrong passwords over many names is somebody guessing.",
			Query{`sum by (reason) (rate(quis_logins_total{result!="success", ` + here + `}[$__rate_interval]))`, "{{reason}}"}),
		quantiles("Time to sign in", "Password hashing is most of it.", "quis_login_duration_seconds", "method", "{{method}}"),
		plot("Refused by limits", "ops", "By rule.",
			Query{`sum by (rule) (rate(quis_rate_limited_total{` + here + `}[$__rate_interval]))`, "{{rule}}"}),
		plot("Guessing at many names", "short", "Tenants where it is under way, by kind, and attempts that had to wait for it, by what they had in common.",
			Query{`max by (kind) (quis_signin_waves{` + here + `})`, "{{kind}}"},
			Query{`sum by (rule) (rate(quis_signin_held_total{` + here + `}[$__rate_interval]))`, "held per second: {{rule}}"}),
		plot("Sessions", "short", "", Query{`quis_sessions_active{` + here + `}`, "{{instance}}"}),
		plot("Events recorded", "ops", "By type.",
			Query{`sum by (action) (rate(quis_audit_events_total{` + here + `}[$__rate_interval]))`, "{{action}}"},
			Query{`sum(rate(quis_login_failures_unrecorded_total{` + here + `}[$__rate_interval]))`, "failures not recorded"}),
	}}
}

func tokens() Row {
	return Row{"Tokens", []Panel{
		plot("Access tokens", "ops", "By grant and algorithm.",
			Query{`sum by (grant, alg) (rate(quis_tokens_issued_total{` + here + `}[$__rate_interval]))`, "{{grant}} {{alg}}"}),
		plot("Requests refused by the token endpoint", "ops", "By OAuth error.",
			Query{`sum by (grant, error) (rate(quis_token_requests_total{result!="success", ` + here + `}[$__rate_interval]))`, "{{grant}} {{error}}"}),
		plot("Refresh tokens used again", "short", "Each revoked its family: stolen, or an application that loses answers.",
			Query{`sum(increase(quis_refresh_reuse_detected_total{` + here + `}[$__rate_interval]))`, "reused"}),
		plot("Age of signing keys", "s", "Rotation makes it fall.",
			Query{`max by (use, kid) (quis_signing_key_age_seconds{` + here + `})`, "{{use}} {{kid}}"}),
	}}
}

func latency() Row {
	return Row{"Latency", []Panel{
		quantiles("All requests", "By node: one that stands out has a slow disk or no processor time.", "quis_http_request_duration_seconds", "instance", "{{instance}}"),
		plot("Slowest routes, p99", "s", "The ten slowest.",
			Query{`topk(10, histogram_quantile(0.99, sum by (le, route) (rate(quis_http_request_duration_seconds_bucket{` + here + `}[$__rate_interval]))))`, "{{route}}"}),
		plot("Busiest routes", "reqps", "The ten busiest.",
			Query{`topk(10, sum by (route) (rate(quis_http_requests_total{` + here + `}[$__rate_interval])))`, "{{route}}"}),
		plot("Failing routes", "reqps", "Answers 5xx, and panics, each of which is a bug.",
			Query{`sum by (route, code) (rate(quis_http_requests_total{code=~"5..", ` + here + `}[$__rate_interval]))`, "{{route}} {{code}}"},
			Query{`sum(rate(quis_http_panics_total{` + here + `}[$__rate_interval]))`, "panics"}),
		plot("In flight", "short", "", Query{`quis_http_in_flight_requests{` + here + `}`, "{{instance}}"}),
	}}
}

func raft() Row {
	return Row{"Cluster", []Panel{
		{Title: "Who leads", Doc: "1 while the node leads.", Kind: "state-timeline", Unit: "short", Width: 8,
			Queries: []Query{{`quis_raft_state{state="leader", ` + here + `}`, "{{instance}}"}}},
		plot("Changes of the leader", "short", "More than a few an hour: look at disks and the network.",
			Query{`max(increase(quis_raft_leader_changes_total{` + here + `}[$__rate_interval]))`, "changes"},
			Query{`sum by (instance) (increase(quis_raft_elections_total{` + here + `}[$__rate_interval]))`, "{{instance}} stood for election"},
			Query{`sum(increase(quis_raft_stuck_follower_handovers_total{` + here + `}[$__rate_interval]))`, "handed over for a stuck follower"}),
		plot("Members", "short", "Voters, those that answer, and those that gossip finds alive.",
			Query{`max by (voter) (quis_raft_peers{` + here + `})`, "voter {{voter}}"},
			Query{`min(quis_raft_healthy_voters{` + here + `})`, "healthy voters"},
			Query{`min(quis_gossip_alive_members{` + here + `})`, "alive by gossip"}),
		plot("How old state may be", "s", "Above the bound (500 ms), what depends on revocation is asked of the leader, or refused.",
			Query{`quis_raft_staleness_seconds{` + here + `}`, "{{instance}}"}),
		plot("Since the leader was heard of", "s", "", Query{`quis_raft_last_contact_seconds{` + here + `}`, "{{instance}}"}),
		plot("Behind", "short", "Entries that a follower's log lacks, and that a store has still to apply.",
			Query{`max by (member) (quis_raft_follower_lag_entries{` + here + `})`, "{{member}} log"},
			Query{`quis_raft_commit_index{` + here + `} - quis_raft_applied_index{` + here + `}`, "{{instance}} to apply"}),
		plot("Writes", "ops", "Log entries, and batches in them.",
			Query{`max(rate(quis_raft_commit_index{` + here + `}[$__rate_interval]))`, "entries"},
			Query{`sum(rate(quis_raft_batches_per_entry_sum{` + here + `}[$__rate_interval]))`, "batches"}),
		plot("Waiting to be written", "short", "Batches in the queue.", Query{`quis_raft_propose_queue_length{` + here + `}`, "{{instance}}"}),
		quantiles("Time to apply", "Entries to the store.", "quis_raft_apply_duration_seconds", "instance", "{{instance}}"),
		plot("Clocks", "s", "How far members' clocks are apart.",
			Query{`max by (member) (abs(quis_clock_offset_seconds{` + here + `}))`, "{{member}}"}),
		plot("Gossip's own health", "short", "0 is well.", Query{`quis_gossip_health_score{` + here + `}`, "{{instance}}"}),
		plot("Divergence", "short", "Nodes whose state differed, and those that keep apart for it.",
			Query{`max(quis_state_divergence_total{` + here + `})`, "found"},
			Query{`sum(quis_state_isolated{` + here + `})`, "keeping apart"}),
	}}
}

func storage() Row {
	return Row{"Storage", []Panel{
		quantiles("Time to make the log durable", "fsync; above 50 ms sign-ins are slow.", "quis_wal_fsync_duration_seconds", "instance", "{{instance}}"),
		plot("Size of the store", "bytes", "", Query{`quis_store_size_bytes{` + here + `}`, "{{instance}}"}),
		plot("Disk free", "bytes", "", Query{`quis_disk_free_bytes{` + here + `}`, "{{instance}}"}),
		plot("Unfit to lead", "short", "Because of the disk: low on room, refusing writes, or slow.",
			Query{`quis_disk_unfit{` + here + `}`, "{{instance}} {{reason}}"}),
		plot("Compaction debt", "bytes", "Bytes to be rewritten; a steady rise means that the disk does not keep up.",
			Query{`quis_store_compaction_debt_bytes{` + here + `}`, "{{instance}}"}),
		plot("Levels", "short", "Files on top, and levels that a read may look at.",
			Query{`quis_store_l0_files{` + here + `}`, "{{instance}} files on top"},
			Query{`quis_store_read_amplification{` + here + `}`, "{{instance}} read amplification"}),
		plot("Compactions and flushes", "percentunit", "Share of the time spent in each.",
			Query{`rate(quis_store_compaction_seconds_total{` + here + `}[$__rate_interval])`, "{{instance}} compacting"},
			Query{`rate(quis_store_flush_seconds_total{` + here + `}[$__rate_interval])`, "{{instance}} flushing"}),
		plot("Flushed", "Bps", "", Query{`rate(quis_store_flushed_bytes_total{` + here + `}[$__rate_interval])`, "{{instance}}"}),
		plot("Blocks found in the cache", "percentunit", "",
			Query{`rate(quis_store_cache_hits_total{` + here + `}[$__rate_interval]) / (rate(quis_store_cache_hits_total{` + here + `}[$__rate_interval]) + rate(quis_store_cache_misses_total{` + here + `}[$__rate_interval]))`, "{{instance}}"}),
		plot("Since the store was last durable", "s", "The log is replayed from there after a crash.",
			Query{`time() - (quis_snapshot_last_success_timestamp_seconds{` + here + `} > 0)`, "{{instance}}"}),
		plot("Age of the oldest log entry", "s", "A member that was away for longer gets the whole store.",
			Query{`quis_raft_oldest_log_age_seconds{` + here + `}`, "{{instance}}"}),
		plot("Resident memory", "bytes", "", Query{`process_resident_memory_bytes{job="quis", ` + here + `}`, "{{instance}}"}),
		plot("Open files", "percentunit", "Of what the process may open.",
			Query{`process_open_fds{job="quis", ` + here + `} / process_max_fds{job="quis", ` + here + `}`, "{{instance}}"}),
	}}
}

func hashing() Row {
	return Row{"Password hashing", []Panel{
		quantiles("Time of one hash", "Without waiting.", "quis_password_hash_duration_seconds", "instance", "{{instance}}"),
		plot("Waiting", "short", "Sign-ins that wait for a core.", Query{`quis_password_hash_queue_length{` + here + `}`, "{{instance}}"}),
		plot("Refused", "ops", "Too many were waiting: add cores, or somebody is guessing.",
			Query{`rate(quis_password_hash_rejected_total{` + here + `}[$__rate_interval])`, "{{instance}}"}),
		plot("Processor", "short", "Cores in use.", Query{`rate(process_cpu_seconds_total{job="quis", ` + here + `}[$__rate_interval])`, "{{instance}}"}),
	}}
}

func duties() Row {
	return Row{"Duties and backup", []Panel{
		plot("Runs of duties", "ops", "On the leader, by task and result.",
			Query{`sum by (task, result) (rate(quis_task_runs_total{` + here + `}[$__rate_interval]))`, "{{task}} {{result}}"}),
		plot("Time of a run", "s", "The mean.",
			Query{`sum by (task) (rate(quis_task_duration_seconds_sum{` + here + `}[$__rate_interval])) / sum by (task) (rate(quis_task_duration_seconds_count{` + here + `}[$__rate_interval]))`, "{{task}}"}),
		plot("Since a duty last succeeded", "s", "On any node.",
			Query{`time() - (max by (task) (quis_task_last_success_timestamp_seconds{` + here + `}) > 0)`, "{{task}}"}),
		plot("Certificates end in", "s", "Those of the nodes renew themselves.",
			Query{`quis_certificate_expiry_timestamp_seconds{` + here + `} - time()`, "{{instance}} {{name}}"}),
		plot("Age of the last backup", "s", "That a scheduled run wrote and read back.",
			Query{`time() - max(quis_backup_last_success_timestamp_seconds{` + here + `})`, "backup"}),
		plot("Size of the last backup", "bytes", "", Query{`max(quis_backup_bytes{` + here + `})`, "backup"}),
		plot("Time of the last backup", "s", "With reading it back.", Query{`max(quis_backup_duration_seconds{` + here + `})`, "backup"}),
		plot("Backups that failed", "short", "", Query{`sum(increase(quis_backup_failures_total{` + here + `}[$__rate_interval]))`, "failed"}),
	}}
}

func (p Panel) wide(columns int) Panel {
	p.Width = columns
	return p
}
