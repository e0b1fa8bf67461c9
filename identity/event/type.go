package event

// A Type names what happened: a noun and a past participle.
type Type string

// The types of event. A room that makes a new kind of news adds it here, so that
// this list is the whole catalogue; see Catalogue for a sentence on each.
const (
	TenantCreated Type = "tenant.created"
	TenantUpdated Type = "tenant.updated"
	TenantDeleted Type = "tenant.deleted"

	UserCreated Type = "user.created"
	UserUpdated Type = "user.updated"
	UserDeleted Type = "user.deleted"

	UserRegistered Type = "user.registered" // after user.created

	GroupCreated       Type = "group.created"
	GroupUpdated       Type = "group.updated"
	GroupDeleted       Type = "group.deleted"
	GroupMemberAdded   Type = "group.member_added"
	GroupMemberRemoved Type = "group.member_removed"

	SettingsUpdated           Type = "settings.updated"
	SettingsLoweringAsked     Type = "settings.lowering_asked" // settings.updated tells that it was approved
	SettingsLoweringCancelled Type = "settings.lowering_cancelled"

	InvitationCreated    Type = "invitation.created"
	InvitationSent       Type = "invitation.sent"
	InvitationDeleted    Type = "invitation.deleted"
	InvitationAccepted   Type = "invitation.accepted"
	EmailChangeBegun     Type = "email_change.begun"
	EmailChangeCancelled Type = "email_change.cancelled"
	EmailChanged         Type = "email_change.confirmed"

	PasswordSet     Type = "password.set"
	PasswordRemoved Type = "password.removed"
	TokenCreated    Type = "token.created"
	TokenDeleted    Type = "token.deleted"

	PasskeyCreated          Type = "passkey.created"
	PasskeyRenamed          Type = "passkey.renamed"
	PasskeyDeleted          Type = "passkey.deleted"
	PasskeySuspected        Type = "passkey.suspected"
	PasskeyMetadataImported Type = "passkey.metadata_imported"

	CertificateAdded   Type = "certificate.added"
	CertificateRenamed Type = "certificate.renamed"
	CertificateRemoved Type = "certificate.removed"
	AuthorityAdded     Type = "certificate_authority.added"
	AuthorityUpdated   Type = "certificate_authority.updated"
	AuthorityRemoved   Type = "certificate_authority.removed"
	AuthorityListed    Type = "certificate_authority.list_set"

	SetupCreated Type = "setup.created"
	SetupUsed    Type = "setup.used"

	PasswordChangeRequired Type = "password.change_required"
	PasswordImported       Type = "password.imported"

	FactorAdded          Type = "factor.added"
	FactorRenamed        Type = "factor.renamed"
	FactorRemoved        Type = "factor.removed"
	RecoveryCodesCreated Type = "recovery_codes.created"
	RecoveryCodeUsed     Type = "recovery_code.used"
	RecoveryStarted      Type = "recovery.started"
	RecoveryApproved     Type = "recovery.approved"
	RecoveryCancelled    Type = "recovery.cancelled"
	RecoveryFinished     Type = "recovery.finished" // somebody got back in without what was lost
	ApprovalAsked        Type = "approval.asked"
	ApprovalGiven        Type = "approval.given"
	ApprovalRefused      Type = "approval.refused"
	TrustedDeviceAdded   Type = "trusted_device.added"
	TrustedDeviceRenamed Type = "trusted_device.renamed"
	TrustedDeviceRevoked Type = "trusted_device.revoked"

	SigninFailed   Type = "signin.failed"
	SigninDisowned Type = "signin.disowned"
	AttackBegun    Type = "attack.begun" // many names are being guessed at
	AttackEnded    Type = "attack.ended"
	SessionStarted Type = "session.started"
	SessionRenewed Type = "session.renewed"
	SessionEnded   Type = "session.ended"

	ImpersonationOffered Type = "impersonation.offered"
	ImpersonationStarted Type = "impersonation.started"
	ImpersonationEnded   Type = "impersonation.ended"

	ApplicationCreated   Type = "application.created"
	ApplicationUpdated   Type = "application.updated"
	ApplicationDeleted   Type = "application.deleted"
	ApplicationSecretSet Type = "application.secret_set"

	RegistrationPolicySet    Type = "registration.policy_set"
	RegistrationTokenCreated Type = "registration.token_created"
	RegistrationTokenDeleted Type = "registration.token_deleted"

	ScopeCreated    Type = "scope.created"
	ScopeUpdated    Type = "scope.updated"
	ScopeDeleted    Type = "scope.deleted"
	ResourceCreated Type = "resource_server.created"
	ResourceUpdated Type = "resource_server.updated"
	ResourceDeleted Type = "resource_server.deleted"

	ConsentGiven   Type = "consent.given"
	ConsentRevoked Type = "consent.revoked"

	FamilyStarted Type = "family.started"
	FamilyRevoked Type = "family.revoked"
	TokenReused   Type = "token.reuse_detected"

	TokenImpersonated Type = "token.impersonated"

	DeviceRequested Type = "device.requested"
	DeviceApproved  Type = "device.approved"
	DeviceDenied    Type = "device.denied"
	CIBARequested   Type = "ciba.requested"
	CIBAApproved    Type = "ciba.approved"
	CIBADenied      Type = "ciba.denied"

	LogoutUndelivered Type = "logout.undelivered"
	LogoutRetried     Type = "logout.retried"

	AuthorizationRefused Type = "authorization.refused"

	MailSettingsSet     Type = "mail.settings_set"
	MailSettingsRemoved Type = "mail.settings_removed"
	MailUndelivered     Type = "mail.undelivered"
	MailRetried         Type = "mail.retried"

	AlarmRaised Type = "alarm.raised"

	KeyPublished Type = "key.published"
	KeyActivated Type = "key.activated"
	KeyRetired   Type = "key.retired"
	KeyGone      Type = "key.gone"

	ClusterLeaderMoved    Type = "cluster.leader_moved"
	ClusterMemberRemoved  Type = "cluster.member_removed"
	ClusterMemberDemoted  Type = "cluster.member_demoted"
	ClusterMemberPromoted Type = "cluster.member_promoted"
	ClusterAutopilotSet   Type = "cluster.autopilot_set"
	ClusterRestored       Type = "cluster.restored"

	ClusterBackupCreated         Type = "cluster.backup_created"
	ClusterBackupRequested       Type = "cluster.backup_requested"
	ClusterBackupScheduleChanged Type = "cluster.backup_schedule_changed"

	ClusterTokenCreated      Type = "cluster.token_created"
	ClusterTokenRevoked      Type = "cluster.token_revoked"
	ClusterTokenUsed         Type = "cluster.token_used"
	ClusterCARotationStarted Type = "cluster.ca_rotation_started"
	ClusterCARotated         Type = "cluster.ca_rotated"
	ClusterRootKeyRotated    Type = "cluster.root_key_rotated"
)

// FirstKey is in the data of a [PasswordSet] of a user who had no password before, and of a
// [RecoveryCodesCreated] of one who had no codes: nothing was changed then, and nobody should be told so.
const FirstKey = "first"

// SecondKey is in the data of the events of a passkey that is a security key, asked for only after
// something else.
const SecondKey = "second"

// Catalogue says in one sentence what each type means.
var Catalogue = map[Type]string{
	TenantCreated: "A tenant was created.",
	TenantUpdated: "A tenant's settings were changed.",
	TenantDeleted: "A tenant was deleted.",

	UserCreated: "A user was created.",
	UserUpdated: "A user's attributes, role or status were changed.",
	UserDeleted: "A user was deleted, with all memberships.",

	UserRegistered: "A person proved an address, and made themselves an account.",

	GroupCreated:       "A group was created.",
	GroupUpdated:       "A group was changed.",
	GroupDeleted:       "A group was deleted, with all memberships.",
	GroupMemberAdded:   "A user was added to a group.",
	GroupMemberRemoved: "A user was removed from a group.",

	SettingsUpdated:           "It was changed how people of a tenant sign in; if an administrator approved what another had asked for, the data say what.",
	SettingsLoweringAsked:     "An administrator asked that one be enough again to help people back in, which another one has to approve.",
	SettingsLoweringCancelled: "What an administrator had asked for, that one be enough again to help people back in, was taken back.",

	InvitationCreated:    "A person was invited to make themselves an account.",
	InvitationSent:       "An invitation was mailed again, with a new link.",
	InvitationDeleted:    "An invitation was taken back.",
	InvitationAccepted:   "A person accepted an invitation, and has an account.",
	EmailChangeBegun:     "A user asked for another email address, which waits until both addresses are proved.",
	EmailChangeCancelled: "A change of an email address was given up.",
	EmailChanged:         "A user proved a new email address, which took the place of the former one.",

	PasswordSet:     "A user's password was set or changed; of the first one, the data say that it is.",
	PasswordRemoved: "A user removed their password, and signs in by other means.",
	TokenCreated:    "An API token was created.",
	TokenDeleted:    "An API token was deleted.",

	PasskeyCreated:          "A user was given a passkey or security key.",
	PasskeyRenamed:          "A passkey was given another name.",
	PasskeyDeleted:          "A user's passkey was removed.",
	PasskeySuspected:        "A passkey's count did not grow: there may be a copy of it, and it is refused from now on.",
	PasskeyMetadataImported: "FIDO metadata were imported, by which makes of security keys are verified.",

	CertificateAdded:   "A certificate was added to a user, who can sign in with it.",
	CertificateRenamed: "A certificate of a user was given another name.",
	CertificateRemoved: "A certificate was taken away from a user.",
	AuthorityAdded:     "An authority was trusted to certify the people of a tenant.",
	AuthorityUpdated:   "It was changed what the certificates of an authority are good for.",
	AuthorityRemoved:   "An authority was no longer trusted; its certificates let nobody in.",
	AuthorityListed:    "An authority's list of revoked certificates was uploaded, or withdrawn.",

	SetupCreated: "A setup link was created.",
	SetupUsed:    "A setup link was used.",

	PasswordChangeRequired: "An administrator wants a user to choose another password at the next sign-in.",
	PasswordImported:       "A user's password was taken over from another system, as a hash.",

	FactorAdded:          "A user added an authenticator app, or a browser in which they may approve sign-ins; the target says which.",
	FactorRenamed:        "A user's authenticator app, or a browser in which they approve sign-ins, was given another name.",
	FactorRemoved:        "An authenticator app, an approving browser or the recovery codes of a user were removed; the target says which.",
	RecoveryCodesCreated: "A user got new recovery codes; the former ones are void.",
	RecoveryCodeUsed:     "A recovery code was used; the data say how many are left.",
	RecoveryStarted:      "Somebody asked to get back into an account without its second factors, or an administrator made a link for that; the data say which, and from when to when it can be done.",
	RecoveryApproved:     "A second administrator approved the link by which a user gets back in.",
	RecoveryCancelled:    "The recovery of an account was stopped; the data say why.",
	RecoveryFinished:     "A user got back in without what was lost, and has other ways to sign in from now on.",
	ApprovalAsked:        "A sign-in, whose first factor was right, asked for an approval in another browser of the user.",
	ApprovalGiven:        "A user approved a sign-in, in the browser that the data name.",
	ApprovalRefused:      "A sign-in was refused in another browser of the user; the data say why.",
	TrustedDeviceAdded:   "A browser is not asked for a second factor of this user for a while.",
	TrustedDeviceRenamed: "A browser in which a user is trusted was given another name.",
	TrustedDeviceRevoked: "A browser is asked for a second factor again; the data say why.",

	SigninFailed:   "Attempts to sign in were refused; the count of several alike is in the data, and with the reason denied the error IDs that pages showed.",
	SigninDisowned: "A person said that a sign-in, or a change to their account, was not theirs; all else of theirs was signed out.",
	AttackBegun:    "Somebody guesses at many names: from one network, with one password, or from many networks; the data say which, and at how many.",
	AttackEnded:    "Guessing at many names has ended; the data say when it had begun.",
	SessionStarted: "A person signed in.",
	SessionRenewed: "A person signed in again within the same session.",
	SessionEnded:   "A session was ended by sign-out, by an administrator, or by a new one in its place.",

	ImpersonationOffered: "An administrator asked for a link by which to act as a user; the data say why.",
	ImpersonationStarted: "An administrator began to act as a user; the data say who, why, and until when.",
	ImpersonationEnded:   "An administrator acts as a user no more; the data say whether they ended it, it expired, or leave was withdrawn.",

	ApplicationCreated:   "An application was registered.",
	ApplicationUpdated:   "An application was changed.",
	ApplicationDeleted:   "An application was deleted.",
	ApplicationSecretSet: "An application's secret was set or rotated.",

	RegistrationPolicySet:    "What applications may register by themselves was decided.",
	RegistrationTokenCreated: "A token by which an application may register was made.",
	RegistrationTokenDeleted: "A token by which an application may register was deleted.",

	ScopeCreated:    "A scope was registered, with what it means.",
	ScopeUpdated:    "A scope was changed.",
	ScopeDeleted:    "A scope was deleted.",
	ResourceCreated: "A resource server was registered, for which tokens can be asked.",
	ResourceUpdated: "A resource server was changed.",
	ResourceDeleted: "A resource server was deleted; nobody is given tokens for it any more.",

	ConsentGiven:   "A person allowed an application what it asked for; the data say what.",
	ConsentRevoked: "What a person had allowed an application was taken back, and its tokens with it.",

	FamilyStarted: "An application was given tokens for a user.",
	FamilyRevoked: "All tokens of one authorization were revoked.",
	TokenReused:   "A code or refresh token was used twice; its family was revoked.",

	TokenImpersonated: "An application was given a token in somebody else's name that does not show it.",

	DeviceRequested: "A device without a browser asked to be let in.",
	DeviceApproved:  "A person typed in the code that a device shows, and let it in.",
	DeviceDenied:    "A person refused a device.",
	CIBARequested:   "An application asked a user, without a browser, to approve something.",
	CIBAApproved:    "A user approved what an application had asked for.",
	CIBADenied:      "A user refused what an application had asked for.",

	LogoutUndelivered: "An application could not be told that a person signed out, however often it was tried.",
	LogoutRetried:     "An administrator had a logout token sent again.",

	MailSettingsSet:     "It was set with which server, and in whose name, mail is sent.",
	MailSettingsRemoved: "The settings for mail were removed; nothing is sent any more.",
	MailUndelivered:     "A notice to a person could not be delivered by mail, however often it was tried.",
	AlarmRaised:         "A person said, by a link in a notice, that it was not them: everybody was signed out, and the password must be changed.",

	MailRetried: "An administrator had a notice sent again.",

	AuthorizationRefused: "Requests to sign in or out ended in an error page; the count of several alike, and the error IDs that the pages showed, are in the data.",

	KeyPublished: "A signing key was published, not yet in use.",
	KeyActivated: "A signing key was put into use.",
	KeyRetired:   "A signing key was taken out of use; it still verifies.",
	KeyGone:      "A signing key was removed.",

	ClusterLeaderMoved:    "An administrator had another node lead.",
	ClusterMemberRemoved:  "An administrator took a node out of the cluster.",
	ClusterMemberDemoted:  "An administrator took a node's vote away.",
	ClusterMemberPromoted: "An administrator let a node vote.",
	ClusterAutopilotSet:   "The rules by which nodes are let in and removed were changed.",
	ClusterRestored:       "A backup was put in the place of everything; everybody was signed out.",

	ClusterBackupCreated:         "Somebody was sent a backup; the data say for whom it is sealed.",
	ClusterBackupRequested:       "A backup by the schedule was asked for at once.",
	ClusterBackupScheduleChanged: "It was changed when backups are made, where they go, or for whom they are sealed.",

	ClusterTokenCreated:      "A token was made by which a node may join the cluster.",
	ClusterTokenRevoked:      "A join token was revoked.",
	ClusterTokenUsed:         "A node joined the cluster by a token.",
	ClusterCARotationStarted: "The replacement of the authority that certifies the nodes began.",
	ClusterRootKeyRotated:    "Everything that hangs on the root key was wrapped under another one.",
	ClusterCARotated:         "The authority that certifies the nodes was replaced; the former is trusted no more.",
}
