{{/* What the operator does where it serves PaftJobs: exactly these verbs. It never reads a Secret. */}}
{{- define "paft-operator.rules" -}}
- apiGroups: [paft.dev]
  resources: [paftjobs]
  verbs: [get, list, watch]
- apiGroups: [paft.dev]
  resources: [paftjobs/status]
  verbs: [patch]
# What belongs to one attempt is created once and afterwards only deleted.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, delete]
# Where JobSet is installed.
- apiGroups: [jobset.x-k8s.io]
  resources: [jobsets]
  verbs: [get, list, watch, create, delete]
# Where Kueue is installed: why something waits.
- apiGroups: [kueue.x-k8s.io]
  resources: [workloads]
  verbs: [list]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
# Run specs and reports of attempts.
- apiGroups: [""]
  resources: [configmaps]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [get, create, patch, delete]
- apiGroups: [""]
  resources: [serviceaccounts]
  verbs: [get, create, delete]
# Each attempt may get and patch its own report and nothing else; the operator can grant that because it may do so itself.
- apiGroups: [rbac.authorization.k8s.io]
  resources: [roles, rolebindings]
  verbs: [get, create, delete]
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end }}

{{/* What the operator does in its own namespace: it holds the Lease that decides which replica works. */}}
{{- define "paft-operator.leaseRules" -}}
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "paft-operator.fullname" . }}]
  verbs: [get, update]
{{- end }}
