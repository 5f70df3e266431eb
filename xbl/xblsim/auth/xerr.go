package auth

// XErr is the number by which the auth services say why there is no token.
type XErr uint32

// The documented ones.
const (
	AccountBanned         XErr = 0x8015DC03
	ParentalConsent       XErr = 0x8015DC05
	NoXboxAccount         XErr = 0x8015DC09
	TermsOfUse            XErr = 0x8015DC0A
	RegionBlocked         XErr = 0x8015DC0B
	AgeVerification       XErr = 0x8015DC0C
	Curfew                XErr = 0x8015DC0D
	ChildNotInFamily      XErr = 0x8015DC0E
	SandboxDenied         XErr = 0x8015DC12
	ServiceTokenExpired   XErr = 0x8015DC1F
	DelegationExpired     XErr = 0x8015DC22
	DelegationInvalid     XErr = 0x8015DC26
	ServiceTokenInvalid   XErr = 0x8015DC27
	ServiceOutage         XErr = 0x8015DC31
	ServiceOutageUpstream XErr = 0x8015DC32
)

// message is what stands beside the number. The service often leaves it empty, so nobody may rely on it.
func (x XErr) message() string {
	switch x {
	case AccountBanned:
		return "The account is banned."
	case ParentalConsent:
		return "A parent must allow this."
	case NoXboxAccount:
		return "The account has no Xbox profile."
	case TermsOfUse:
		return "The terms of use must be accepted."
	case RegionBlocked:
		return "Xbox Live is not there for the account's region."
	case AgeVerification:
		return "The account's age must be verified."
	case Curfew:
		return "The account is outside the hours it may play in."
	case ChildNotInFamily:
		return "A child's account must be added to a family."
	case SandboxDenied:
		return "The sandbox is not open to the caller."
	case ServiceTokenExpired:
		return "The service token has expired."
	case DelegationExpired:
		return "The user's token has expired."
	case DelegationInvalid:
		return "The user's token is not valid."
	case ServiceTokenInvalid:
		return "The service token is not valid."
	case ServiceOutage, ServiceOutageUpstream:
		return "The service is out of order."
	default:
		return ""
	}
}
