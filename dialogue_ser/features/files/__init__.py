"""Files with features that another program has computed: tables, arrays and pickles."""
