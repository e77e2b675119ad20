/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_HANDLERS_H
#define GATEWAY_HANDLERS_H

/*
 * What the route table calls: one function a route.  Each answers the
 * request, now or later, exactly once, and releases it.  [loop]
 */

struct admission;
struct http_request;

/* --- calls of agents --- */
void handle_chat(struct http_request *request,
		 const struct admission *admission);
void handle_invoke(struct http_request *request,
		   const struct admission *admission);
void handle_models(struct http_request *request,
		   const struct admission *admission);
void handle_model(struct http_request *request,
		  const struct admission *admission);
void handle_session_read(struct http_request *request,
			 const struct admission *admission);
void handle_session_delete(struct http_request *request,
			   const struct admission *admission);

/* --- how the daemon is --- */
void handle_alive(struct http_request *request,
		  const struct admission *admission);
void handle_ready(struct http_request *request,
		  const struct admission *admission);
void handle_annotations(struct http_request *request,
			const struct admission *admission);
void handle_metric_query(struct http_request *request,
			 const struct admission *admission);
void handle_metrics(struct http_request *request,
		    const struct admission *admission);

/* --- its description --- */
void handle_openapi(struct http_request *request,
		    const struct admission *admission);
void handle_docs(struct http_request *request,
		 const struct admission *admission);
void handle_front(struct http_request *request,
		  const struct admission *admission);
void handle_dashboard(struct http_request *request,
		      const struct admission *admission);

/* --- operators --- */
void handle_me(struct http_request *request, const struct admission *admission);
void handle_overview(struct http_request *request,
		     const struct admission *admission);
void handle_status(struct http_request *request,
		   const struct admission *admission);
void handle_agents(struct http_request *request,
		   const struct admission *admission);
void handle_agent(struct http_request *request,
		  const struct admission *admission);
void handle_agent_create(struct http_request *request,
			 const struct admission *admission);
void handle_agent_delete(struct http_request *request,
			 const struct admission *admission);
void handle_deploy(struct http_request *request,
		   const struct admission *admission);
void handle_undo(struct http_request *request,
		 const struct admission *admission);
void handle_revisions(struct http_request *request,
		      const struct admission *admission);
void handle_feedback(struct http_request *request,
		     const struct admission *admission);
void handle_rollout(struct http_request *request,
		    const struct admission *admission);
void handle_rollout_promote(struct http_request *request,
			    const struct admission *admission);
void handle_rollout_abort(struct http_request *request,
			  const struct admission *admission);
void handle_rollout_pause(struct http_request *request,
			  const struct admission *admission);
void handle_rollout_resume(struct http_request *request,
			   const struct admission *admission);
void handle_rollout_retry(struct http_request *request,
			  const struct admission *admission);
void handle_alerts(struct http_request *request,
		   const struct admission *admission);
void handle_silences(struct http_request *request,
		     const struct admission *admission);
void handle_silence(struct http_request *request,
		    const struct admission *admission);
void handle_silence_end(struct http_request *request,
			const struct admission *admission);
void handle_freeze(struct http_request *request,
		   const struct admission *admission);
void handle_thaw(struct http_request *request,
		 const struct admission *admission);
void handle_freeze_read(struct http_request *request,
			const struct admission *admission);
void handle_scaling_events(struct http_request *request,
			   const struct admission *admission);
void handle_scale(struct http_request *request,
		  const struct admission *admission);
void handle_restart(struct http_request *request,
		    const struct admission *admission);
void handle_plugins(struct http_request *request,
		    const struct admission *admission);
void handle_plugin(struct http_request *request,
		   const struct admission *admission);
void handle_reload(struct http_request *request,
		   const struct admission *admission);
void handle_compliance(struct http_request *request,
		       const struct admission *admission);
void handle_compliance_accept(struct http_request *request,
			      const struct admission *admission);
void handle_logs(struct http_request *request,
		 const struct admission *admission);
void handle_audit(struct http_request *request,
		  const struct admission *admission);
void handle_audit_prune(struct http_request *request,
			const struct admission *admission);
void handle_keys(struct http_request *request,
		 const struct admission *admission);
void handle_key_create(struct http_request *request,
		       const struct admission *admission);
void handle_key_rotate(struct http_request *request,
		       const struct admission *admission);
void handle_key_revoke(struct http_request *request,
		       const struct admission *admission);
void handle_keyring(struct http_request *request,
		    const struct admission *admission);
void handle_keyring_rotate(struct http_request *request,
			   const struct admission *admission);
void handle_keyring_rewrap(struct http_request *request,
			   const struct admission *admission);

#endif
