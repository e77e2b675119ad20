/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/description.h"

#include "core/memory.h"

/* JSON Schema 2020-12, which is what OpenAPI 3.1 takes. */

#define STRING	"{\"type\":\"string\"}"
#define INTEGER "{\"type\":\"integer\"}"
#define BOOLEAN "{\"type\":\"boolean\"}"
#define NUMBER	"{\"type\":\"number\"}"
#define OBJECT	"{\"type\":\"object\"}"
#define MAYBE	"{\"type\":[\"string\",\"null\"]}"

#define FINITE "{\"type\":[\"number\",\"null\"]}"
#define TEXTS                                            \
	"{\"type\":\"object\",\"additionalProperties\":" \
	"{\"type\":\"string\"}}"

#define LIMIT(most) \
	"{\"type\":[\"integer\",\"null\"],\"minimum\":0,\"maximum\":" most "}"
#define KEY_LIMITS "{\"$ref\":\"#/components/schemas/KeyLimits\"}"

#define AGENT_BODY                                                        \
	"{\"type\":[\"string\",\"object\"],\"description\":\"an agent's " \
	"whole body, as libconfig text or as JSON\"}"
#define REASON "{\"type\":\"string\",\"maxLength\":1000}"

#define LIST_OF(name)                              \
	"{\"type\":\"array\",\"items\":{\"$ref\":" \
	"\"#/components/schemas/" name "\"}}"

const struct schema schemas[] = {
	{ "Error",
	  "{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{"
	  "\"error\":{\"type\":\"object\",\"required\":[\"message\",\"type\","
	  "\"code\",\"param\"],\"properties\":{\"message\":" STRING
	  ",\"type\":" STRING ",\"code\":" STRING ",\"param\":" MAYBE "}}}}" },
	{ "Message",
	  "{\"type\":\"object\",\"required\":[\"role\"],\"properties\":{"
	  "\"role\":" STRING ",\"content\":{\"type\":[\"string\",\"array\","
	  "\"null\"]}}}" },
	{ "ChatRequest",
	  "{\"type\":\"object\",\"required\":[\"model\",\"messages\"],"
	  "\"description\":\"What is not listed here is passed on to the "
	  "backend.\",\"properties\":{\"model\":{\"type\":\"string\","
	  "\"description\":\"the agent\"},\"messages\":" LIST_OF(
		  "Message") ",\"stream\":" BOOLEAN
			     ",\"stream_options\":{\"type\":\"object\","
			     "\"properties\":{\"include_usage\":" BOOLEAN
			     "}},\"max_tokens\":{"
			     "\"type\":\"integer\",\"minimum\":1},\"max_completion_tokens\":{"
			     "\"type\":\"integer\",\"minimum\":1},\"n\":{\"const\":1}}}" },
	{ "ChatCompletion",
	  "{\"type\":\"object\",\"properties\":{\"id\":" STRING
	  ",\"object\":{\"const\":\"chat.completion\"},\"created\":" INTEGER
	  ",\"model\":" STRING ",\"choices\":{\"type\":\"array\",\"items\":{"
	  "\"type\":\"object\",\"properties\":{\"index\":" INTEGER
	  ",\"message\":{\"$ref\":\"#/components/schemas/Message\"},"
	  "\"finish_reason\":" STRING "}}},\"usage\":{\"type\":\"object\","
	  "\"properties\":{\"prompt_tokens\":" INTEGER
	  ",\"completion_tokens\":" INTEGER ",\"total_tokens\":" INTEGER
	  "}}}}" },
	{ "InvokeRequest",
	  "{\"type\":\"object\",\"required\":[\"input\"],\"properties\":{"
	  "\"input\":{\"type\":[\"string\",\"object\"]},\"session_id\":{"
	  "\"type\":\"string\",\"pattern\":\"^[A-Za-z0-9_.:-]{1,128}$\"},"
	  "\"stream\":" BOOLEAN "}}" },
	{ "InvokeAnswer",
	  "{\"type\":\"object\",\"properties\":{\"output\":{\"type\":["
	  "\"string\",\"object\"]},\"finish_reason\":" STRING
	  ",\"usage\":{\"type\":\"object\",\"properties\":{"
	  "\"input_tokens\":" INTEGER ",\"output_tokens\":" INTEGER
	  ",\"total_tokens\":" INTEGER "}},\"agent\":" STRING
	  ",\"revision\":" INTEGER ",\"session_id\":" MAYBE
	  ",\"request_id\":" STRING "}}" },
	{ "FeedbackRequest",
	  "{\"type\":\"object\",\"required\":[\"request_id\",\"score\"],"
	  "\"properties\":{\"request_id\":" STRING
	  ",\"score\":{\"type\":\"number\",\"minimum\":0,\"maximum\":1},"
	  "\"comment\":{\"type\":[\"string\",\"null\"],"
	  "\"maxLength\":2000}}}" },
	{ "FeedbackAnswer",
	  "{\"type\":\"object\",\"properties\":{\"request_id\":" STRING
	  ",\"agent\":" STRING ",\"revision\":" INTEGER ",\"score\":" NUMBER
	  ",\"replaced\":" BOOLEAN "}}" },
	{ "Model", "{\"type\":\"object\",\"properties\":{\"id\":" STRING
		   ",\"object\":{\"const\":\"model\"},\"created\":" INTEGER
		   ",\"owned_by\":" STRING "}}" },
	{ "ModelList",
	  "{\"type\":\"object\",\"properties\":{\"object\":{\"const\":"
	  "\"list\"},\"data\":" LIST_OF("Model") "}}" },
	{ "Session", "{\"type\":\"object\",\"properties\":{\"id\":" STRING
		     ",\"agent\":" STRING ",\"messages\":" LIST_OF(
			     "Message") ",\"created\":" STRING
					",\"updated\":" STRING "}}" },
	{ "Status",
	  "{\"type\":\"object\",\"properties\":{\"system_status\":{\"enum\":["
	  "\"operational\",\"degraded\",\"initializing\"]},"
	  "\"initialization_results\":{\"type\":\"object\","
	  "\"additionalProperties\":{\"type\":\"object\",\"properties\":{"
	  "\"status\":" STRING ",\"details\":" STRING "}}},\"components\":{"
	  "\"type\":\"array\",\"items\":{\"type\":\"object\",\"properties\":{"
	  "\"name\":" STRING ",\"status\":" STRING ",\"since\":" STRING
	  ",\"last_error\":" MAYBE "}}},\"configuration\":{\"type\":"
	  "\"object\",\"properties\":{\"environment\":" STRING
	  ",\"max_agents\":" INTEGER ",\"monitoring_enabled\":" BOOLEAN
	  "}}}}" },
	{ "Agent",
	  "{\"type\":\"object\",\"properties\":{\"name\":" STRING
	  ",\"revision\":" INTEGER ",\"instances\":{\"type\":\"object\","
	  "\"properties\":{\"desired\":" INTEGER ",\"ready\":" INTEGER
	  ",\"starting\":" INTEGER ",\"draining\":" INTEGER
	  "}},\"in_flight\":" INTEGER ",\"queued\":" INTEGER
	  ",\"split\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
	  "\"properties\":{\"revision\":" INTEGER ",\"weight\":" INTEGER
	  "}}},\"backend\":" STRING ",\"calls_total\":" INTEGER
	  ",\"errors_total\":" INTEGER ",\"p50_ms\":" NUMBER
	  ",\"p95_ms\":" NUMBER ",\"sessions\":" INTEGER
	  ",\"origin\":{\"enum\":[\"file\",\"api\"]},\"drift\":" BOOLEAN
	  ",\"scaling\":" OBJECT
	  ",\"sizing\":{\"type\":\"array\",\"items\":" OBJECT
	  "},\"settings\":" OBJECT "}}" },
	{ "AgentList",
	  "{\"type\":\"object\",\"properties\":{\"agents\":" LIST_OF(
		  "Agent") "}}" },
	{ "Me", "{\"type\":\"object\",\"properties\":{\"name\":" STRING
		",\"role\":" STRING
		",\"permissions\":{\"type\":\"array\",\"items\":" STRING
		"},\"agents\":{\"type\":[\"array\",\"null\"],\"items\":" STRING
		"}}}" },
	{ "Overview",
	  "{\"type\":\"object\",\"properties\":{\"time\":" STRING
	  ",\"version\":" STRING ",\"system_status\":" STRING
	  ",\"environment\":" STRING ",\"max_agents\":" INTEGER
	  ",\"monitoring_enabled\":" BOOLEAN
	  ",\"components\":{\"type\":\"array\",\"items\":" OBJECT
	  "},\"totals\":" OBJECT
	  ",\"firing\":{\"type\":\"array\",\"items\":" OBJECT
	  "},\"freeze\":" OBJECT ",\"agents\":" LIST_OF("Agent") "}}" },
	{ "AgentCreate",
	  "{\"type\":\"object\",\"anyOf\":[{\"required\":[\"config\"]},"
	  "{\"required\":[\"backend\"]}],\"properties\":{"
	  "\"name\":" STRING ",\"config\":" AGENT_BODY ",\"file\":" STRING
	  ",\"reason\":" REASON "}}" },
	{ "AgentDeploy",
	  "{\"type\":\"object\",\"anyOf\":[{\"required\":[\"config\"]},"
	  "{\"required\":[\"backend\"]}],\"properties\":{"
	  "\"config\":" AGENT_BODY ",\"file\":{\"type\":\"string\","
	  "\"description\":\"what messages about it begin with\"}"
	  ",\"supersede\":" BOOLEAN ",\"reason\":" REASON
	  ",\"replay\":{\"type\":\"array\",\"minItems\":1,\"maxItems\":500,"
	  "\"items\":{\"type\":\"object\",\"properties\":{\"input\":{},"
	  "\"messages\":{\"type\":\"array\"}}}}}}" },
	{ "UndoRequest",
	  "{\"type\":\"object\",\"properties\":{\"to\":{\"type\":"
	  "\"integer\",\"minimum\":1},\"reason\":" REASON "}}" },
	{ "AgentChange",
	  "{\"type\":\"object\",\"properties\":{\"agent\":" STRING
	  ",\"revision\":" INTEGER ",\"from\":" INTEGER ",\"changed\":" BOOLEAN
	  ",\"hash\":" STRING ",\"way\":{\"enum\":[\"swap\",\"rollout\"]}"
	  ",\"no_swap\":" STRING ",\"closed_us\":" NUMBER "}}" },
	{ "FreezeRequest",
	  "{\"type\":\"object\",\"properties\":{\"reason\":{\"type\":"
	  "\"string\",\"maxLength\":200}}}" },
	{ "Freeze",
	  "{\"type\":\"object\",\"required\":[\"frozen\"],\"properties\":{"
	  "\"frozen\":" BOOLEAN ",\"since\":" STRING ",\"who\":" STRING
	  ",\"reason\":" STRING "}}" },
	{ "Alert",
	  "{\"type\":\"object\",\"required\":[\"name\",\"severity\","
	  "\"state\",\"value\",\"threshold\",\"message\",\"since\","
	  "\"annotations\"],\"properties\":{\"name\":" STRING
	  ",\"severity\":{\"enum\":[\"critical\",\"warning\",\"info\"]}"
	  ",\"state\":{\"enum\":[\"firing\",\"pending\"]},\"value\":" FINITE
	  ",\"threshold\":" FINITE ",\"message\":" STRING ",\"since\":" STRING
	  ",\"agent\":" STRING ",\"labels\":" TEXTS ",\"annotations\":" TEXTS
	  ",\"monitor\":" STRING ",\"silenced\":" BOOLEAN ",\"silence\":" STRING
	  "}}" },
	{ "AlertList", LIST_OF("Alert") },
	{ "SilenceMatcher",
	  "{\"type\":\"object\",\"required\":[\"name\",\"value\"],"
	  "\"properties\":{\"name\":" STRING ",\"value\":{\"type\":"
	  "\"string\",\"maxLength\":1000},\"regex\":" BOOLEAN
	  ",\"equal\":" BOOLEAN "}}" },
	{ "SilenceRequest",
	  "{\"type\":\"object\",\"required\":[\"matchers\",\"comment\"],"
	  "\"properties\":{\"matchers\":" LIST_OF(
		  "SilenceMatcher") ",\"comment\":" REASON
				    ",\"starts_at\":" STRING
				    ",\"ends_at\":" STRING
				    ",\"duration\":" STRING "}}" },
	{ "Silence",
	  "{\"type\":\"object\",\"properties\":{\"id\":" STRING
	  ",\"matchers\":" LIST_OF(
		  "SilenceMatcher") ",\"starts_at\":" STRING
				    ",\"ends_at\":" STRING
				    ",\"created_by\":" STRING
				    ",\"comment\":" STRING
				    ",\"state\":{\"enum\":[\"active\","
				    "\"pending\",\"expired\"]}}}" },
	{ "SilenceList", LIST_OF("Silence") },
	{ "RolloutPromote",
	  "{\"type\":\"object\",\"properties\":{\"full\":" BOOLEAN "}}" },
	{ "Rollout",
	  "{\"type\":\"object\",\"required\":[\"id\",\"agent\",\"phase\","
	  "\"from\",\"to\",\"weight\",\"step\",\"steps\",\"reason\","
	  "\"analysis\"],\"properties\":{\"id\":" STRING ",\"agent\":" STRING
	  ",\"phase\":{\"enum\":[\"Healthy\",\"Progressing\",\"Paused\","
	  "\"Degraded\"]},\"from\":" INTEGER ",\"to\":" INTEGER
	  ",\"weight\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":10000}"
	  ",\"step\":" INTEGER ",\"steps\":" INTEGER ",\"reason\":" STRING
	  ",\"analysis\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
	  "\"properties\":{\"name\":" STRING ",\"verdict\":" STRING
	  ",\"evidence\":" OBJECT "}}},\"workflow\":{\"type\":[\"object\","
	  "\"null\"],\"properties\":{\"status\":{\"enum\":[\"running\","
	  "\"success\",\"partial\",\"skipped\"]},\"successful_steps\":" INTEGER
	  ",\"total_steps\":" INTEGER ",\"steps\":{\"type\":\"array\","
	  "\"items\":{\"type\":\"object\",\"properties\":{\"name\":" STRING
	  ",\"status\":{\"enum\":[\"pending\",\"running\",\"success\","
	  "\"failed\",\"skipped\"]},\"result\":" STRING
	  ",\"evidence\":{\"type\":\"array\",\"items\":" STRING
	  "},\"duration_ms\":" INTEGER "}}}}},\"cause\":" STRING
	  ",\"outcome\":" STRING ",\"stage\":" STRING ",\"strategy\":" STRING
	  ",\"judge\":{\"type\":[\"object\",\"null\"]}"
	  ",\"mirrored\":{\"type\":[\"object\",\"null\"]}"
	  ",\"graded\":{\"type\":[\"object\",\"null\"]}"
	  ",\"replay\":{\"type\":[\"object\",\"null\"]},\"who\":" STRING
	  ",\"why\":" STRING ",\"waits_for\":" MAYBE ",\"began\":" MAYBE
	  ",\"ended\":" MAYBE "}}" },
	{ "Revision",
	  "{\"type\":\"object\",\"required\":[\"revision\",\"in_force\"],"
	  "\"properties\":{\"revision\":" INTEGER ",\"in_force\":" BOOLEAN
	  ",\"hash\":" STRING ",\"time\":" STRING
	  ",\"origin\":{\"enum\":[\"file\",\"api\",\"undo\"]},\"who\":" STRING
	  ",\"why\":" STRING ",\"before\":" INTEGER ",\"undone_to\":" INTEGER
	  ",\"changes\":{\"type\":\"array\",\"items\":" STRING
	  "},\"difference\":{\"type\":\"array\",\"items\":{\"type\":"
	  "\"object\",\"required\":[\"key\"],\"properties\":{\"key\":" STRING
	  ",\"from\":{},\"to\":{}}}},\"text\":" STRING ",\"error\":" STRING
	  "}}" },
	{ "RevisionList",
	  "{\"type\":\"object\",\"properties\":{\"agent\":" STRING
	  ",\"revisions\":" LIST_OF("Revision") "}}" },
	{ "ScalingEventList",
	  "{\"type\":\"object\",\"properties\":{\"events\":{\"type\":"
	  "\"array\",\"items\":{\"type\":\"object\",\"properties\":{"
	  "\"time\":" STRING ",\"agent\":" STRING ",\"action\":" STRING
	  ",\"reason\":" STRING ",\"metric\":" STRING ",\"value\":" NUMBER
	  ",\"from\":" INTEGER ",\"to\":" INTEGER ",\"strategy\":" STRING
	  ",\"recommended_action\":" STRING ",\"detail\":" STRING
	  ",\"bound\":" MAYBE ",\"dry_run\":" BOOLEAN "}}}}}" },
	{ "AnnotationList",
	  "{\"type\":\"array\",\"items\":{\"type\":\"object\","
	  "\"properties\":{\"time\":" STRING ",\"subject\":" STRING
	  ",\"agent\":" STRING ",\"alert\":" STRING ",\"monitor\":" STRING
	  ",\"text\":" STRING ",\"prompt_hash\":" STRING "}}}" },
	{ "MetricHistory",
	  "{\"type\":\"object\",\"properties\":{\"metric\":" STRING
	  ",\"resolution\":" STRING ",\"start\":" STRING
	  ",\"step_seconds\":" INTEGER ",\"steps\":" INTEGER
	  ",\"series\":{\"type\":\"array\",\"items\":{\"type\":"
	  "\"object\",\"properties\":{\"name\":" STRING ",\"type\":" STRING
	  ",\"labels\":{\"type\":\"object\"},\"values\":{\"type\":"
	  "\"array\"}}}}}}" },
	{ "ScaleRequest",
	  "{\"type\":\"object\",\"properties\":{\"instances\":{\"type\":"
	  "\"integer\",\"minimum\":0},\"auto\":" BOOLEAN "}}" },
	{ "PluginList",
	  "{\"type\":\"object\",\"properties\":{\"plugins\":{\"type\":"
	  "\"array\",\"items\":{\"type\":\"object\",\"properties\":{"
	  "\"name\":" STRING ",\"kind\":" STRING ",\"version\":" STRING
	  ",\"abi\":" STRING ",\"path\":" STRING ",\"state\":" STRING
	  ",\"calls\":" INTEGER ",\"last_error\":" MAYBE "}}}}}" },
	{ "ReloadRequest",
	  "{\"type\":\"object\",\"properties\":{\"now\":" BOOLEAN "}}" },
	{ "ReloadAnswer",
	  "{\"type\":\"object\",\"properties\":{\"changed\":{\"type\":"
	  "\"array\",\"items\":" STRING "},\"added\":{\"type\":\"array\","
	  "\"items\":" STRING
	  "},\"removed\":{\"type\":\"array\",\"items\":" STRING
	  "},\"unchanged\":" INTEGER "}}" },
	{ "KeyLimits",
	  "{\"type\":[\"object\",\"null\"],\"description\":\"0: no limit; null "
	  "or absent: security.rate_limits.key's\",\"additionalProperties\":"
	  "false,\"properties\":{\"requests_per_minute\":" LIMIT("1000000000") ",\"tokens_per_minute\":" LIMIT(
		  "1000000000") ",\"concurrent\":" LIMIT("1000000") "}}" },
	{ "Key",
	  "{\"type\":\"object\",\"properties\":{\"id\":" STRING
	  ",\"name\":" STRING ",\"role\":" STRING ",\"agents\":{\"type\":["
	  "\"array\",\"null\"],\"items\":" STRING "},\"limits\":" KEY_LIMITS
	  ",\"expires\":" MAYBE
	  ",\"state\":{\"enum\":[\"active\",\"expired\",\"revoked\","
	  "\"role_missing\"]},\"created\":" STRING ",\"created_by\":" STRING
	  ",\"last_used\":" MAYBE ",\"rotated\":" MAYBE
	  ",\"old_secret_ends\":" MAYBE ",\"old_secret_last_used\":" MAYBE
	  "}}" },
	{ "KeyList", "{\"type\":\"object\",\"properties\":{\"keys\":" LIST_OF(
			     "Key") ",\"next\":" MAYBE "}}" },
	{ "KeyRotateRequest",
	  "{\"type\":\"object\",\"properties\":{\"grace\":{\"type\":["
	  "\"string\",\"integer\"],\"description\":\"how long the old secret "
	  "stays good: 24h, or 0\"}}}" },
	{ "KeyRequest",
	  "{\"type\":\"object\",\"required\":[\"role\"],\"properties\":{"
	  "\"role\":" STRING ",\"agents\":{\"type\":\"array\",\"minItems\":1,"
	  "\"items\":" STRING "},\"expires\":{\"type\":\"string\","
	  "\"description\":\"30d, or a time\"},\"name\":" STRING
	  ",\"limits\":" KEY_LIMITS "}}" },
	{ "ComplianceReport",
	  "{\"type\":\"object\",\"properties\":{\"overall_compliance\":" BOOLEAN
	  ",\"compliance_level\":{\"enum\":[\"full\",\"partial\"]},"
	  "\"environment\":" STRING ",\"time\":" STRING ",\"summary\":" OBJECT
	  ",\"checks\":{\"type\":\"array\",\"items\":{"
	  "\"type\":\"object\",\"properties\":{\"id\":" STRING
	  ",\"title\":" STRING ",\"status\":{\"enum\":[\"pass\",\"fail\","
	  "\"error\",\"not_applicable\",\"not_checked\"]},\"severity\":{"
	  "\"enum\":[\"critical\",\"high\",\"medium\",\"low\"]},"
	  "\"expected\":" STRING ",\"actual\":" STRING
	  ",\"evidence\":{\"type\":\"array\",\"items\":" STRING
	  "},\"mappings\":{\"type\":\"array\",\"items\":" STRING
	  "},\"accepted\":" OBJECT "}}}}}" },
	{ "ComplianceAcceptance",
	  "{\"type\":\"object\",\"required\":[\"id\",\"reason\"],"
	  "\"properties\":{\"id\":" STRING ",\"reason\":{\"type\":\"string\","
	  "\"maxLength\":1000},\"expires\":{\"type\":\"string\","
	  "\"description\":\"a duration of at most 366d; 90d when it is not "
	  "said\"}}}" },
	{ "KeyCreated", "{\"type\":\"object\",\"properties\":{\"id\":" STRING
			",\"key\":" STRING ",\"role\":" STRING
			",\"limits\":" KEY_LIMITS ",\"expires\":" MAYBE "}}" },
	{ "AuditSearch",
	  "{\"type\":\"object\",\"properties\":{\"records\":{\"type\":"
	  "\"array\",\"items\":" OBJECT "},\"last\":" INTEGER
	  ",\"log_id\":" STRING ",\"verifier\":" STRING "}}" },
	{ "AuditPruneRequest",
	  "{\"type\":\"object\",\"required\":[\"before\"],\"properties\":{"
	  "\"before\":{\"type\":[\"string\",\"integer\"],\"description\":"
	  "\"an age such as 90d, a time, or the number of the first record "
	  "that is kept\"}}}" },
	{ "AuditPruned",
	  "{\"type\":\"object\",\"properties\":{\"removed\":" INTEGER
	  ",\"sequence\":" INTEGER "}}" },
	{ "Keyring",
	  "{\"type\":\"object\",\"properties\":{\"id\":" STRING
	  ",\"key_id\":" STRING
	  ",\"key_source\":{\"enum\":[\"file\",\"credential\",\"command\","
	  "\"state_folder\"]},\"current\":" INTEGER ",\"all_sealed\":" BOOLEAN
	  ",\"versions\":{\"type\":\"array\",\"items\":{\"type\":\"object\","
	  "\"properties\":{\"version\":" INTEGER
	  ",\"state\":{\"enum\":[\"current\",\"old\"]},\"created\":" STRING
	  ",\"messages\":" INTEGER ",\"used_by_components\":" BOOLEAN
	  ",\"retire\":" BOOLEAN
	  "}}},\"rewrap\":{\"type\":\"object\",\"properties\":{\"state\":{"
	  "\"enum\":[\"idle\",\"counting\",\"moving\",\"checking\"]},"
	  "\"left\":" INTEGER ",\"moved\":" INTEGER ",\"checked\":" INTEGER
	  ",\"damaged\":" INTEGER ",\"message\":" STRING "}}}}" },
	{ "RewrapRequest",
	  "{\"type\":\"object\",\"properties\":{\"retire\":{\"type\":"
	  "\"integer\",\"minimum\":1}}}" },
};

const size_t schema_count = ARRAY_SIZE(schemas);
