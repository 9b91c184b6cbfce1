module hindsight.dev/e2e/modules/pause

go 1.25.0
