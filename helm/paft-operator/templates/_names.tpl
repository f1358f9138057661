{{- define "paft-operator.name" -}}
{{- .Values.nameOverride | default .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{/* Name of most objects: the release's name, where it does not hold the chart's already. At most 50 characters. */}}
{{- define "paft-operator.fullname" -}}
{{- $name := include "paft-operator.name" . -}}
{{- $release := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- .Values.fullnameOverride | default $release | trunc 50 | trimSuffix "-" -}}
{{- end }}

{{- define "paft-operator.serviceAccountName" -}}
{{- $default := ternary (include "paft-operator.fullname" .) "default" .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default $default -}}
{{- end }}

{{- define "paft-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "paft-operator.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* Labels of every object; those that objects are found by cannot be overridden. */}}
{{- define "paft-operator.labels" -}}
{{- $own := include "paft-operator.selectorLabels" . | fromYaml -}}
{{- $_ := set $own "app.kubernetes.io/version" .Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "paft" -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .Release.Service -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_") -}}
{{- merge $own .Values.commonLabels | toYaml -}}
{{- end }}

{{/*
Metadata of an object. root: the chart's context. name: default the full name. suffix: of the name, if any. namespace:
default the release's, "" for objects of the whole cluster. labels: further ones, if any.
*/}}
{{- define "paft-operator.metadata" -}}
{{- $namespace := hasKey . "namespace" | ternary .namespace .root.Release.Namespace -}}
{{- $name := .name | default (include "paft-operator.fullname" .root) -}}
name: {{ $name }}{{ with .suffix }}-{{ . }}{{ end }}
{{- with $namespace }}
namespace: {{ . }}
{{- end }}
labels:
  {{- merge (include "paft-operator.labels" .root | fromYaml) (.labels | default dict) | toYaml | nindent 2 }}
{{- with .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Reference of an image. root: the chart's context. image: its values. */}}
{{- define "paft-operator.image" -}}
{{- $place := printf "%s/%s" (trimSuffix "/" .root.Values.imageRegistry) .image.repository -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $place .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $place (.image.tag | default .root.Chart.AppVersion) -}}
{{- end -}}
{{- end }}

{{/* Namespaces that are served, separated by commas; empty for all. */}}
{{- define "paft-operator.namespaces" -}}
{{- if eq .Values.scope "namespaced" -}}
{{- .Values.watchNamespaces | default (list .Release.Namespace) | join "," -}}
{{- else if .Values.watchNamespaces -}}
{{- fail "watchNamespaces has no effect with scope cluster: set scope to namespaced, or remove watchNamespaces" -}}
{{- end -}}
{{- end }}
