//! The default parameters of every persona, told by how each differs from friends or from a careless cheat.
//!
//! Judgement, all of it: chosen so that honest and abusive referrals overlap in every single signal. Called by the parameters only.

use super::parameters::{CaptureShares, Habits, Hiding, PersonaParameters, PersonasParameters, Sharing, Tempo};

const LINKS: CaptureShares = CaptureShares { link: 0.62, cookie: 0.13, form: 0.15, deep_link: 0.07, api: 0.03, manual: 0.0 };

/// Two people who live apart. Every other persona is told by how it differs.
const FRIENDS: Habits = Habits {
    sharing: Sharing {
        device: 0.012,
        browser: 0.5,
        environment: 0.05,
        address: 0.05,
        prefix: 0.02,
        card: 0.004,
        payout_is_billing: 0.002,
        surname: 0.10,
        referrer_present: 0.02,
    },
    hiding: Hiding { vpn: 0.05, tor: 0.001, hosting: 0.008, disposable_email: 0.012, relay_email: 0.04 },
    tempo: Tempo {
        click_to_signup_median_seconds: 1_300.0,
        click_to_signup_sigma: 1.7,
        signup_to_conversion_median_hours: 20.0,
        signup_to_conversion_sigma: 1.6,
        pages_mean: 5.0,
    },
    capture: LINKS,
    sharing_sigma: 0.4,
    minimum_purchase: 0.06,
    code_changed: 0.025,
    code_invalid: 0.012,
    refund: 0.03,
    chargeback: 0.003,
    journey_missing: 0.06,
};

/// One person who takes no great care. Speeds overlap with those of friends.
const CARELESS: Habits = Habits {
    sharing: Sharing {
        device: 0.60,
        browser: 0.45,
        environment: 0.75,
        address: 0.66,
        prefix: 0.25,
        card: 0.22,
        payout_is_billing: 0.14,
        surname: 0.0,
        referrer_present: 0.30,
    },
    hiding: Hiding { vpn: 0.14, tor: 0.004, hosting: 0.03, disposable_email: 0.05, relay_email: 0.06 },
    tempo: Tempo {
        click_to_signup_median_seconds: 240.0,
        click_to_signup_sigma: 1.4,
        signup_to_conversion_median_hours: 3.0,
        signup_to_conversion_sigma: 1.7,
        pages_mean: 2.5,
    },
    capture: CaptureShares { link: 0.58, cookie: 0.12, form: 0.20, deep_link: 0.05, api: 0.02, manual: 0.03 },
    sharing_sigma: 0.6,
    minimum_purchase: 0.25,
    code_changed: 0.06,
    code_invalid: 0.012,
    refund: 0.14,
    chargeback: 0.012,
    journey_missing: 0.09,
};

const fn persona(share: f64, referees: (u32, u32), gap_median_minutes: f64, habits: Habits) -> PersonaParameters {
    PersonaParameters { share, referees_min: referees.0, referees_max: referees.1, gap_median_minutes, habits }
}

impl Default for PersonasParameters {
    fn default() -> Self {
        let sharing = FRIENDS.sharing;
        let household = Sharing {
            device: 0.16,
            browser: 0.35,
            environment: 0.12,
            address: 0.92,
            prefix: 0.6,
            card: 0.11,
            payout_is_billing: 0.05,
            surname: 0.66,
            referrer_present: 0.12,
        };
        let colleagues =
            Sharing { device: 0.03, environment: 0.60, address: 0.90, prefix: 0.8, card: 0.03, surname: 0.01, ..sharing };
        let campus = Sharing { device: 0.025, environment: 0.22, address: 0.93, prefix: 0.7, surname: 0.01, ..sharing };
        let agency =
            Sharing { device: 0.03, environment: 0.06, address: 0.10, referrer_present: 0.10, surname: 0.005, ..sharing };
        let unrelated = Sharing { surname: 0.01, address: 0.004, prefix: 0.004, device: 0.004, ..sharing };
        let hasty = Tempo {
            click_to_signup_median_seconds: 110.0,
            click_to_signup_sigma: 1.1,
            signup_to_conversion_median_hours: 1.0,
            pages_mean: 1.5,
            ..CARELESS.tempo
        };
        let careful = Sharing {
            device: 0.16,
            browser: 0.08,
            environment: 0.62,
            address: 0.13,
            prefix: 0.12,
            card: 0.06,
            payout_is_billing: 0.05,
            surname: 0.0,
            referrer_present: 0.06,
        };
        let ring = Sharing {
            device: 0.86,
            browser: 0.35,
            environment: 0.85,
            address: 0.74,
            card: 0.18,
            payout_is_billing: 0.10,
            ..CARELESS.sharing
        };
        Self {
            friends: persona(0.49, (1, 3), 2_880.0, FRIENDS),
            household: persona(0.11, (1, 2), 2_880.0, Habits { sharing: household, ..FRIENDS }),
            colleagues: persona(0.09, (1, 5), 240.0, Habits { sharing: colleagues, ..FRIENDS }),
            campus: persona(0.09, (1, 6), 360.0, Habits { sharing: campus, ..FRIENDS }),
            agency: persona(
                0.06,
                (6, 30),
                900.0,
                Habits { sharing: agency, capture: CaptureShares { api: 0.25, ..LINKS }, ..FRIENDS },
            ),
            existing_user: persona(0.06, (1, 1), 2_880.0, FRIENDS),
            manual_attribution: persona(
                0.03,
                (1, 1),
                2_880.0,
                Habits {
                    capture: CaptureShares { manual: 1.0, link: 0.0, cookie: 0.0, form: 0.0, deep_link: 0.0, api: 0.0 },
                    journey_missing: 0.5,
                    ..FRIENDS
                },
            ),
            duplicate_invoice: persona(0.015, (1, 1), 2_880.0, FRIENDS),
            second_email: persona(0.012, (1, 2), 600.0, CARELESS),
            alias: persona(0.007, (1, 3), 400.0, CARELESS),
            typo_mailbox: persona(0.006, (1, 2), 600.0, CARELESS),
            shared_device: persona(
                0.006,
                (1, 2),
                600.0,
                Habits { sharing: Sharing { device: 0.95, ..CARELESS.sharing }, ..CARELESS },
            ),
            shared_card: persona(
                0.005,
                (1, 2),
                600.0,
                Habits { sharing: Sharing { device: 0.25, card: 0.75, payout_is_billing: 0.45, ..CARELESS.sharing }, ..CARELESS },
            ),
            careful_self: persona(
                0.010,
                (1, 2),
                1_440.0,
                Habits {
                    sharing: careful,
                    hiding: Hiding { vpn: 0.62, hosting: 0.07, relay_email: 0.08, ..CARELESS.hiding },
                    tempo: Tempo {
                        click_to_signup_median_seconds: 600.0,
                        signup_to_conversion_median_hours: 9.0,
                        pages_mean: 4.0,
                        ..CARELESS.tempo
                    },
                    ..CARELESS
                },
            ),
            device_ring: persona(0.010, (3, 8), 35.0, Habits { sharing: ring, tempo: hasty, ..CARELESS }),
            circle: persona(
                0.005,
                (2, 5),
                180.0,
                Habits { sharing: Sharing { device: 0.5, address: 0.5, ..CARELESS.sharing }, ..CARELESS },
            ),
            signup_farm: persona(
                0.010,
                (6, 20),
                2.0,
                Habits {
                    sharing: Sharing {
                        device: 0.30,
                        browser: 0.1,
                        environment: 0.55,
                        address: 0.28,
                        card: 0.05,
                        payout_is_billing: 0.03,
                        ..CARELESS.sharing
                    },
                    hiding: Hiding { vpn: 0.35, hosting: 0.20, tor: 0.02, disposable_email: 0.18, relay_email: 0.03 },
                    tempo: hasty,
                    ..CARELESS
                },
            ),
            reward_farmer: persona(
                0.005,
                (3, 9),
                700.0,
                Habits {
                    sharing: Sharing {
                        device: 0.22,
                        environment: 0.4,
                        address: 0.25,
                        card: 0.20,
                        payout_is_billing: 0.12,
                        ..CARELESS.sharing
                    },
                    minimum_purchase: 0.72,
                    refund: 0.80,
                    chargeback: 0.06,
                    ..CARELESS
                },
            ),
            coupon_site: persona(
                0.004,
                (6, 25),
                90.0,
                Habits {
                    sharing: unrelated,
                    tempo: Tempo { signup_to_conversion_median_hours: 0.4, pages_mean: 6.0, ..FRIENDS.tempo },
                    capture: CaptureShares { link: 0.10, cookie: 0.08, form: 0.80, deep_link: 0.0, api: 0.02, manual: 0.0 },
                    code_changed: 0.34,
                    code_invalid: 0.04,
                    ..FRIENDS
                },
            ),
        }
    }
}
