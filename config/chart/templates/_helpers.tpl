{{- define "operator.labels" -}}
app.kubernetes.io/name: hindsight-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: hindsight
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}
{{- define "operator.namespaces" -}}
{{- if .Values.clusterWide }}{{ else if .Values.namespaces }}{{ join "," .Values.namespaces }}{{ else }}{{ .Release.Namespace }}{{ end }}
{{- end }}
{{- define "operator.clusterStacks" -}}
{{- if .Values.clusterStacks }}{{ join "," .Values.clusterStacks }}{{ else }}{{ .Release.Namespace }}{{ end }}
{{- end }}
{{- define "operator.subject" -}}
- kind: ServiceAccount
  name: hindsight-operator
  namespace: {{ .Release.Namespace }}
{{- end }}
