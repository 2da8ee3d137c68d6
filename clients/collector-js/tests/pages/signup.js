window.selfsame("track", "SIGNUP");
