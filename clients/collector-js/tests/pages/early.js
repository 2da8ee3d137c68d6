window.early = Promise.all([window.selfsame("track", "SIGNUP"), window.selfsame("ucc")]);
