{{/* Port of /healthz, /readyz and /metrics. */}}
{{- define "paft-operator.port" -}}
8080
{{- end }}

{{/* Settings of the operator, as paft_operator.settings reads them. */}}
{{- define "paft-operator.environment" -}}
{{- $times := .Values.leaderElection -}}
{{- $rise := and (lt (float64 $times.retryInterval) (float64 $times.renewDeadline)) (lt (float64 $times.renewDeadline) (float64 $times.leaseDuration)) -}}
{{- if not $rise -}}
{{- printf "leaderElection.retryInterval %v, renewDeadline %v and leaseDuration %v must rise in this order" $times.retryInterval $times.renewDeadline $times.leaseDuration | fail -}}
{{- end -}}
- name: PAFT_OPERATOR_TRAINER_IMAGE
  value: {{ include "paft-operator.image" (dict "root" . "image" .Values.trainerImage) | quote }}
- name: PAFT_OPERATOR_NAMESPACES
  value: {{ include "paft-operator.namespaces" . | quote }}
- name: PAFT_OPERATOR_WORKERS
  value: {{ .Values.reconciling.workers | quote }}
- name: PAFT_OPERATOR_PROGRESS_INTERVAL
  value: {{ .Values.reconciling.progressInterval | quote }}
- name: PAFT_OPERATOR_FIRST_RETRY_INTERVAL
  value: {{ .Values.reconciling.firstRetryInterval | quote }}
- name: PAFT_OPERATOR_RESYNC_INTERVAL
  value: {{ .Values.reconciling.resyncInterval | quote }}
- name: PAFT_OPERATOR_LEASE_NAME
  value: {{ include "paft-operator.fullname" . | quote }}
- name: PAFT_OPERATOR_LEASE_NAMESPACE
  value: {{ .Release.Namespace | quote }}
- name: PAFT_OPERATOR_LEASE_DURATION
  value: {{ .Values.leaderElection.leaseDuration | quote }}
- name: PAFT_OPERATOR_LEASE_RENEW_DEADLINE
  value: {{ .Values.leaderElection.renewDeadline | quote }}
- name: PAFT_OPERATOR_LEASE_RETRY_INTERVAL
  value: {{ .Values.leaderElection.retryInterval | quote }}
- name: PAFT_OPERATOR_LISTEN_PORT
  value: {{ include "paft-operator.port" . | quote }}
- name: PAFT_OPERATOR_LOG_LEVEL
  value: {{ .Values.logLevel | upper | quote }}
{{- end }}
